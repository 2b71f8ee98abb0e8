//! Stocks and their prices, which wander.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

/// How many of its last prices a stock keeps.
const HISTORY: usize = 60;

/// Ticker, company, first price in cents.
const STOCKS: [(&str, &str, u64); 8] = [
    ("ACRN", "Acorn Foods", 2_415),
    ("BRGT", "Brightwater Energy", 8_740),
    ("CLDR", "Cloudrise Networks", 14_275),
    ("FRNT", "Frontier Rail", 6_305),
    ("HLIX", "Helix Pharma", 31_820),
    ("NRTH", "Northlight Optics", 5_190),
    ("QRTZ", "Quartz Semiconductors", 20_560),
    ("SAIL", "Sailcloth Shipping", 1_280),
];

/// A price, in cents, when it has changed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Quote {
    pub(crate) ticker: &'static str,
    pub(crate) price: u64,
}

/// A stock with what has been.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stock {
    ticker: &'static str,
    company: &'static str,
    /// All in cents.
    price: u64,
    open: u64,
    history: VecDeque<u64>,
}

#[derive(Debug)]
struct Inside {
    stocks: Vec<Stock>,
    random: u64,
}

/// All stocks. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Market(Arc<Mutex<Inside>>);

impl Market {
    /// The same seed gives the same prices. It is not zero.
    pub(crate) fn new(seed: u64) -> Self {
        let stocks = STOCKS.map(|(ticker, company, price)| Stock {
            ticker,
            company,
            price,
            open: price,
            history: [price].into(),
        });
        let market = Self(Arc::new(Mutex::new(Inside { stocks: stocks.into(), random: seed })));
        // The charts do not begin empty.
        (0..HISTORY).for_each(|_| _ = market.change());
        market
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the prices of some stocks, and returns these.
    pub(crate) fn change(&self) -> Vec<Quote> {
        let mut inside = self.lock();
        let Inside { stocks, random } = &mut *inside;
        let mut changed = Vec::new();
        for stock in stocks {
            // Each waits now and then, and otherwise moves by up to 0.6 percent.
            if below(random, 10) < 3 {
                continue;
            }
            let step = stock.price * below(random, 61) / 10_000 + below(random, 3);
            let is_up = below(random, 2) == 0;
            stock.price = if is_up { stock.price + step } else { stock.price - step }.max(100);
            stock.history.push_back(stock.price);
            if stock.history.len() > HISTORY {
                stock.history.pop_front();
            }
            changed.push(Quote { ticker: stock.ticker, price: stock.price });
        }
        changed
    }

    /// The price of a stock, in cents.
    pub(crate) fn price(&self, ticker: &str) -> Option<u64> {
        self.lock().stocks.iter().find(|stock| stock.ticker == ticker).map(|stock| stock.price)
    }

    pub(crate) fn stocks(&self) -> Vec<Stock> {
        self.lock().stocks.clone()
    }
}

/// A number below `bound`, by xorshift: good enough for prices that nobody pays.
fn below(random: &mut u64, bound: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random % bound
}
