//! `examples/node-launcher`: with nothing but Node, the server as if it had been started itself.

use std::path::PathBuf;

use super::*;

/// Node 18 or later, which this test needs.
fn node() -> String {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).find_map(|folder| {
        let file = folder.join("node");
        file.is_file().then_some(file)
    });
    let found: PathBuf = found.expect("node is not in the PATH; the launcher is tested with it");
    found.to_str().unwrap().to_owned()
}

/// The launcher, told where the server is.
fn launched() -> Setup {
    let script = root().join("examples/node-launcher/dist/index.js");
    Setup::bare()
        .through(&node())
        .arg(script.to_str().unwrap())
        .env("OPENAGENT_MESSAGING_BIN", SERVER)
}

#[tokio::test]
async fn a_host_does_not_notice_the_launcher() {
    // Anything on stdout that is not MCP fails this.
    let mut server = Server::start(&launched().arg("--sandbox")).await;
    assert_eq!(server.list_tools().await, EVERY_TOOL);
    let status = server.call("status", json!({})).await;
    assert_eq!(status["phone"]["enabled"], json!(true));
    server.close_stdin();
    let (status, _) = server.exit().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn the_exit_code_and_stderr_are_those_of_the_server() {
    let output = launched()
        .env("OPENAGENT_PHONE_PORT", "no number")
        .run()
        .await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("OPENAGENT_PHONE_PORT"), "{said}");
    assert!(output.stdout.is_empty());

    let output = launched().arg("--version").run().await;
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("openagent-messaging "), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_reaches_the_server() {
    for (name, direct) in [("TERM", 143), ("INT", 130)] {
        let mut server = Server::start(&launched().arg("--sandbox")).await;
        server.signal(name).await;
        let (status, _) = server.exit().await;
        let alone = signalled(name).await;
        assert_eq!(status.code(), Some(alone), "{name}");
        assert!([0, direct].contains(&alone), "{name}: {alone}");
    }
}

/// The exit code of the server when nothing is in between.
#[cfg(unix)]
async fn signalled(name: &str) -> i32 {
    let mut server = Server::start(&Setup::sandboxed()).await;
    server.signal(name).await;
    server.exit().await.0.code().unwrap()
}

/// The folder of a built-in with the launcher in it, gone with the value.
struct BuiltIn(PathBuf);

impl BuiltIn {
    fn new() -> Self {
        let name = format!("openagent-launcher-{}", uuid::Uuid::new_v4());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(folder.join("dist")).unwrap();
        let script = root().join("examples/node-launcher/dist/index.js");
        std::fs::copy(script, folder.join("dist/index.js")).unwrap();
        Self(folder)
    }

    /// Starts the launcher as hosts do.
    fn setup(&self) -> Setup {
        let script = self.0.join("dist/index.js");
        Setup::bare().through(&node()).arg(script.to_str().unwrap())
    }

    /// Puts a script in the place of the server.
    #[cfg(unix)]
    fn put(&self, folder: &str, script: &str) {
        let folder = self.0.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("openagent-messaging");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&file, mode).unwrap();
    }
}

impl Drop for BuiltIn {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_that_is_killed_is_told_as_a_shell_does() {
    let builtin = BuiltIn::new();
    builtin.put("target/release", "kill -KILL $$");
    let output = builtin.setup().run().await;
    assert_eq!(output.status.code(), Some(128 + 9), "{output:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_own_folder_comes_before_the_path() {
    let builtin = BuiltIn::new();
    builtin.put("elsewhere", "exit 7");
    let path = builtin.0.join("elsewhere");
    let setup = builtin.setup().env("PATH", path.to_str().unwrap());
    assert_eq!(setup.run().await.status.code(), Some(7));
    builtin.put("target/release", "exit 8");
    assert_eq!(setup.run().await.status.code(), Some(8));
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    builtin.put(&format!("bin/{os}-{arch}"), "exit 9");
    assert_eq!(setup.run().await.status.code(), Some(9));
}

#[tokio::test]
async fn without_the_executable_it_says_what_to_do() {
    let builtin = BuiltIn::new();
    let nowhere = "/nowhere/openagent-messaging";
    for setup in [
        builtin.setup().env("PATH", "/nowhere"),
        builtin.setup().env("OPENAGENT_MESSAGING_BIN", nowhere),
    ] {
        let output = setup.run().await;
        assert_eq!(output.status.code(), Some(127));
        let said = String::from_utf8_lossy(&output.stderr);
        for word in [nowhere, "cargo build --release", "PATH"] {
            assert!(said.contains(word), "{said} lacks {word}");
        }
        assert!(output.stdout.is_empty());
    }
}
