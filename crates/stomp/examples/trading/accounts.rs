//! What the users have.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::market::Market;

/// With what everybody begins, in cents.
const CASH: u64 = 2_500_000;
const POSITIONS: [(&str, u64); 3] = [("BRGT", 40), ("CLDR", 25), ("SAIL", 300)];

const MOST_SHARES: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Buy,
    Sell,
}

/// What a client wants.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Order {
    side: Side,
    ticker: String,
    shares: u64,
}

/// An order that was carried out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Trade {
    #[serde(flatten)]
    order: Order,
    /// Of a share, in cents.
    price: u64,
}

/// What a user has: all of it each time, so that one that is missed is made good by the next.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Portfolio {
    /// How many trades there were: of two portfolios, the greater one is the newer.
    revision: u64,
    /// In cents.
    cash: u64,
    positions: BTreeMap<String, u64>,
    /// What made it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    trade: Option<Trade>,
}

impl Default for Portfolio {
    fn default() -> Self {
        let positions = POSITIONS.map(|(ticker, shares)| (ticker.to_owned(), shares));
        Self { revision: 0, cash: CASH, positions: positions.into(), trade: None }
    }
}

/// All portfolios. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    portfolios: Arc<Mutex<HashMap<String, Portfolio>>>,
    market: Market,
}

impl Accounts {
    pub(crate) fn new(market: Market) -> Self {
        Self { portfolios: Arc::default(), market }
    }

    /// Changes a portfolio, or returns it as it is.
    fn with<R>(&self, name: &str, change: impl FnOnce(&mut Portfolio) -> R) -> R {
        let mut portfolios = self.portfolios.lock().unwrap_or_else(PoisonError::into_inner);
        change(portfolios.entry(name.to_owned()).or_default())
    }

    pub(crate) fn get(&self, name: &str) -> Portfolio {
        self.with(name, |portfolio| Portfolio { trade: None, ..portfolio.clone() })
    }

    /// Carries an order out, at the price of now, or says why not.
    pub(crate) fn trade(&self, name: &str, order: Order) -> Result<Portfolio, &'static str> {
        if !(1..=MOST_SHARES).contains(&order.shares) {
            return Err("an order is for 1 to 10,000 shares");
        }
        let price = self.market.price(&order.ticker).ok_or("there is no such stock")?;
        let sum = price * order.shares;
        self.with(name, |portfolio| {
            let held = portfolio.positions.get(&order.ticker).copied().unwrap_or_default();
            let (cash, shares) = match order.side {
                Side::Buy => {
                    (portfolio.cash.checked_sub(sum).ok_or("there is not enough money")?, held + order.shares)
                }
                Side::Sell => (
                    portfolio.cash + sum,
                    held.checked_sub(order.shares).ok_or("there are not enough shares")?,
                ),
            };
            portfolio.cash = cash;
            if shares > 0 {
                portfolio.positions.insert(order.ticker.clone(), shares);
            } else {
                portfolio.positions.remove(&order.ticker);
            }
            portfolio.revision += 1;
            portfolio.trade = Some(Trade { order, price });
            Ok(portfolio.clone())
        })
    }
}
