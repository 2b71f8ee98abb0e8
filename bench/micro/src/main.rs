//! Runs every case, or those whose names begin with the argument, and prints their names: each twice, for a
//! profiler to look at the second time.

use axum_sockjs_micro::{Case, cases};

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for case in cases().iter().filter(|case| case.name.starts_with(&wanted)) {
        // The first time fills what is made once: a message's line, the allocator's lists.
        case.run();
        measured(case);
        println!("{}", case.name);
    }
}

/// What the profiler looks for.
#[inline(never)]
fn measured(case: &Case) {
    case.run();
}
