//! Runs one case twice, for a profiler to count the instructions of the second time.
//!
//! ```text
//! axum-sockjs-micro          lists the cases
//! axum-sockjs-micro CASE     runs it
//! ```

use axum_sockjs_micro::{Case, cases};

fn main() {
    let Some(wanted) = std::env::args().nth(1) else {
        cases().iter().for_each(|case| println!("{}", case.name));
        return;
    };
    let Some(case) = cases().into_iter().find(|case| case.name == wanted) else {
        eprintln!("no case is called {wanted:?}");
        std::process::exit(2);
    };
    // The first time fills what is made once: the message's line, the allocator's lists.
    case.run();
    measured(&case);
}

/// What the profiler looks for.
#[inline(never)]
fn measured(case: &Case) {
    case.run();
}
