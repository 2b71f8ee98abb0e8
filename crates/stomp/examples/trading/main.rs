//! Trading, as the portfolio sample of Spring does it, with the page that a Spring application would have.
//!
//! `cargo run -p axum-stomp --example stomp_trading [IP:PORT]`, then open <http://127.0.0.1:8081> and log in as `ada` with
//! `lovelace`, or as `grace` with `hopper`. The page needs its libraries from npm: `npm ci` in `crates/stomp/examples`,
//! once.
//!
//! | destination | what it is |
//! |---|---|
//! | SUBSCRIBE `/topic/price.stock.{ticker}` | a price, each time it changes; `*` for all of them |
//! | SUBSCRIBE `/app/stocks` | all stocks and their last prices, once |
//! | SUBSCRIBE `/app/positions` | what the user has, once |
//! | SEND `/app/trade` | buys or sells |
//! | SUBSCRIBE `/user/queue/position-updates` | what the user has, after a trade in any of his windows |
//! | SUBSCRIBE `/user/queue/errors` | why there was no trade |
//!
//! A client that reads too slowly gets the newest price of each stock, and not all those that were before it.

mod accounts;
pub(crate) mod app;
#[path = "../common/mod.rs"]
pub(crate) mod common;
mod logins;
mod market;

use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::{net::TcpListener, time};

/// How often prices change.
const TICK: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(addr).await?;
    let (app, prices) = app::app(common::Libraries::load());
    tokio::spawn(async move {
        let mut ticks = time::interval(TICK);
        loop {
            ticks.tick().await;
            prices.change().await;
        }
    });
    println!("open http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}
