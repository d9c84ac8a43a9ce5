//! Twilio's own price of a call: it is known some time after the end, and nobody says when.

use std::sync::Arc;
use std::time::Duration;

use super::Switchboard;
use crate::call::session::Session;
use crate::cost::MicroUsd;
use crate::twilio::rest::{CallResource, TwilioError};

/// The pauses before each question, from the end of the call.
const ASK_AFTER_S: [u64; 5] = [1, 5, 30, 120, 600];

impl Switchboard {
    /// Asks for the price of a call that has ended, a few times, and not when the program stops.
    pub(super) async fn learn_price(self: Arc<Self>, session: Arc<Session>) {
        let call = &session.call;
        let Some(sid) = call.twilio_sid() else { return };
        for pause in ASK_AFTER_S {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(pause)) => {}
                () = self.stop.cancelled() => return,
            }
            let asked = tokio::select! {
                asked = self.twilio.fetch_call(&sid) => asked,
                () = self.stop.cancelled() => return,
            };
            match asked {
                Ok(resource) => match price(&resource) {
                    Price::Known(price) => {
                        tracing::debug!(call = %call.id, "Twilio has named its price");
                        return call.learn_price(price);
                    }
                    Price::Later => {}
                    Price::Unusable => {
                        tracing::warn!(call = %call.id, "Twilio's price is not in US dollars; the estimate stays");
                        return;
                    }
                },
                Err(TwilioError::Api {
                    http_status: 404, ..
                }) => return,
                Err(error) => {
                    tracing::debug!(call = %call.id, %error, "could not ask for the price");
                }
            }
        }
        tracing::debug!(call = %call.id, "Twilio has not named its price; the estimate stays");
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Price {
    Known(MicroUsd),
    Later,
    Unusable,
}

/// Twilio writes what it charges as a negative number.
fn price(call: &CallResource) -> Price {
    let Some(price) = call.price else {
        return Price::Later;
    };
    let in_dollars = call
        .price_unit
        .as_deref()
        .is_none_or(|unit| unit.eq_ignore_ascii_case("usd"));
    match MicroUsd::from_dollars(0.0 - price).filter(|_| in_dollars) {
        Some(price) => Price::Known(price),
        None => Price::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_twilio_charges_is_negative_and_in_dollars() {
        let of = |price, unit: Option<&str>| {
            super::price(&CallResource {
                price,
                price_unit: unit.map(str::to_owned),
                ..CallResource::default()
            })
        };
        assert_eq!(of(None, Some("USD")), Price::Later);
        assert_eq!(
            of(Some(-0.014), Some("USD")),
            Price::Known(MicroUsd::new(14_000))
        );
        assert_eq!(
            of(Some(-0.014), Some("usd")),
            Price::Known(MicroUsd::new(14_000))
        );
        assert_eq!(of(Some(0.0), None), Price::Known(MicroUsd::ZERO));
        assert_eq!(of(Some(-0.0), None), Price::Known(MicroUsd::ZERO));
        assert_eq!(of(Some(-0.014), Some("EUR")), Price::Unusable);
        assert_eq!(of(Some(0.5), Some("USD")), Price::Unusable);
    }
}
