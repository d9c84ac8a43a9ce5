//! What came out, as one table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::world::Samples;

/// The figures of one process.
#[derive(Debug, Default)]
pub struct Figures {
    pub cpu_ns: u64,
    /// Nanoseconds of conversation, all calls together.
    pub call_ns: f64,
    pub idle_kib: u64,
    /// Nanoseconds of processor until all calls had begun.
    pub set_up_ns: u64,
    /// With all calls, before their conversations.
    pub begun_kib: u64,
    /// The same at their end.
    pub loaded_kib: u64,
    pub samples: Samples,
}

impl Figures {
    pub fn cpu(&self) -> f64 {
        self.cpu_ns as f64 / self.call_ns.max(1.0)
    }

    fn per_call_kib(&self, resident: u64, calls: usize) -> f64 {
        resident.saturating_sub(self.idle_kib) as f64 / calls.max(1) as f64
    }

    fn json(&mut self, calls: usize) -> Value {
        json!({
            "cpu_s_per_call_s": self.cpu(),
            "set_up_cpu_ms": self.set_up_ns as f64 / 1e6 / calls.max(1) as f64,
            "rss_idle_kib": self.idle_kib,
            "rss_per_call_begun_kib": self.per_call_kib(self.begun_kib, calls),
            "rss_per_call_kib": self.per_call_kib(self.loaded_kib, calls),
            "frames": self.samples.frames,
            "latency_ms": {
                "inbound": quantiles(&mut self.samples.inbound),
                "outbound": quantiles(&mut self.samples.outbound),
            },
        })
    }
}

/// What else is known of a run.
#[derive(Debug)]
pub struct Run {
    pub calls: usize,
    pub seconds: u64,
    pub delta_ms: u128,
    pub settings: Value,
    pub pinned: bool,
    /// How busy the core of the stand-ins was: near 1, they are what limits.
    pub stand_ins: f64,
    pub allocations_per_frame: Option<f64>,
    pub warnings: u64,
    pub handshakes: Option<(u64, u64)>,
}

/// Milliseconds.
fn ms(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 1e3).round() / 1e3
}

/// Half of them, 99 of 100, and all are no longer than this.
fn quantiles(samples: &mut [u64]) -> Value {
    samples.sort_unstable();
    let at = |percent: usize| {
        let rank = (samples.len() * percent).div_ceil(100).saturating_sub(1);
        samples.get(rank).copied().map(ms)
    };
    json!({"p50": at(50), "p99": at(99), "max": samples.last().copied().map(ms), "count": samples.len()})
}

/// Everything, for programs.
pub fn json(run: &Run, product: &mut Figures, floor: &mut Figures) -> Value {
    let mut all = json!({
        "calls": run.calls,
        "seconds": run.seconds,
        "delta_ms": run.delta_ms,
        "settings": run.settings,
        "pinned": run.pinned,
        "stand_ins_busy": run.stand_ins,
        "warnings": run.warnings,
        "product": product.json(run.calls),
        "floor": floor.json(run.calls),
    });
    all["cpu_ratio"] = json!(product.cpu() / floor.cpu().max(1e-12));
    all["product"]["greeting_ms"] = quantiles(&mut product.samples.greeting);
    all["product"]["clear_ms"] = quantiles(&mut product.samples.clear);
    if let Some(allocations) = run.allocations_per_frame {
        all["product"]["allocations_per_frame"] = json!(allocations);
    }
    if let Some((full, resumed)) = run.handshakes {
        all["tls"] = json!({"full": full, "resumed": resumed});
    }
    all
}

/// The same, for people.
pub fn table(all: &Value) -> String {
    let mut text = String::new();
    let number = |value: &Value, digits: usize| match value.as_f64() {
        Some(number) => format!("{number:.digits$}"),
        None => "–".to_owned(),
    };
    let three = |value: &Value| {
        format!(
            "{} / {} / {}",
            number(&value["p50"], 2),
            number(&value["p99"], 2),
            number(&value["max"], 2)
        )
    };
    let (product, floor) = (&all["product"], &all["floor"]);
    let per_cent = |value: &Value| json!(value.as_f64().map(|share| share * 1e3));
    // Nothing that is written to a `String` fails.
    let _ = writeln!(
        text,
        "| {} calls, {} s each | program | floor |",
        all["calls"], all["seconds"]
    );
    let _ = writeln!(text, "|---|---|---|");
    let mut row = |what: &str, ours: String, floors: String| {
        let _ = writeln!(text, "| {what} | {ours} | {floors} |");
    };
    let cpu = |of: &Value| number(&per_cent(&of["cpu_s_per_call_s"]), 3);
    row("CPU per call, ms a second", cpu(product), cpu(floor));
    row(
        "the same, in proportion",
        number(&all["cpu_ratio"], 3),
        "1".into(),
    );
    let set_up = |of: &Value| number(&of["set_up_cpu_ms"], 2);
    row("CPU to set a call up, ms", set_up(product), set_up(floor));
    for (what, way) in [
        ("callee to model", "inbound"),
        ("model to callee", "outbound"),
    ] {
        let way = |of: &Value| three(&of["latency_ms"][way]);
        row(
            &format!("{what}, ms: p50 / p99 / max"),
            way(product),
            way(floor),
        );
    }
    let greeting = three(&product["greeting_ms"]);
    row("greeting due to its first frame, ms", greeting, "–".into());
    row(
        "barge-in decided to `clear`, ms",
        three(&product["clear_ms"]),
        "–".into(),
    );
    let idle = |of: &Value| number(&of["rss_idle_kib"], 0);
    row("memory idle, KiB", idle(product), idle(floor));
    let each = |of: &Value| {
        let at = |when: &str| number(&of[when], 1);
        format!(
            "{} / {}",
            at("rss_per_call_begun_kib"),
            at("rss_per_call_kib")
        )
    };
    row(
        "memory per call, KiB: at the beginning / at the end",
        each(product),
        each(floor),
    );
    let allocations = number(&product["allocations_per_frame"], 3);
    row(
        "allocations per frame, libraries included",
        allocations,
        "–".into(),
    );
    row(
        "stand-ins busy, of one core",
        number(&all["stand_ins_busy"], 2),
        "–".into(),
    );
    if all["pinned"] != json!(true) {
        text.push_str("Not pinned to cores: taskset, or a second core, is missing.\n");
    }
    text
}
