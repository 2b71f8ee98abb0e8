//! How long each case takes: `cargo bench -p axum-sockjs-micro`.

#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use axum_sockjs_micro::cases;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn time(criterion: &mut Criterion) {
    for case in cases() {
        let (step, text) = case.name.split_once('/').unwrap_or((&case.name, ""));
        let mut group = criterion.benchmark_group(step);
        group.throughput(Throughput::Bytes(case.bytes as u64));
        group.bench_function(text, |bencher| bencher.iter(|| case.run()));
        group.finish();
    }
}

criterion_group!(benches, time);
criterion_main!(benches);
