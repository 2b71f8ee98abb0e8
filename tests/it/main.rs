//! Tests from outside: one binary, one file per topic.

mod support;
