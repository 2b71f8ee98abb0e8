//! What the drivers of the bus are tested with: servers of their own, and the tests that are the same for each driver.
//!
//! A driver says how its engine is started by an [`Engine`](engine::Engine), and has all of the tests by [`tests!`].

#![allow(clippy::unwrap_used, reason = "a test fails so")]

pub mod certificates;
pub mod engine;
pub mod messages;
pub mod rooms;
pub mod server;
pub mod stomp;
pub mod streams;
pub mod tls;
pub mod wait;

/// The tests of an engine, which is a constant of the caller's.
#[macro_export]
macro_rules! tests {
    ($engine:expr) => {
        $crate::tests! { @ $engine, #[tokio::test(flavor = "multi_thread", worker_threads = 2)],
            messages::a_driver_is_a_bus,
            streams::entries_that_were_taken_are_there_once_and_in_order_whatever_happens_to_the_server,
        }
        $crate::tests! { @ $engine, #[tokio::test],
            messages::a_server_that_says_nothing_is_noticed_and_comes_back,
            messages::a_queue_that_is_full_refuses_and_nothing_waits,
            messages::what_waits_when_the_server_goes_is_lost_and_counted,
            messages::what_a_slow_receiver_loses_is_counted,
            messages::credentials_and_addresses_that_are_wrong_are_told,
            messages::a_bus_can_be_there_before_its_server,
            messages::a_bus_that_is_not_let_in_says_why_and_goes_on_trying,
            messages::what_a_user_may_not_do_is_refused,
            streams::a_store_that_is_lost_is_told,
            streams::a_stream_that_vanishes_under_a_connection_is_told,
            streams::one_who_falls_far_behind_reads_on,
            streams::all_of_it_may_be_dropped_outside_of_the_runtime,
            rooms::rooms_and_users_are_those_of_both_nodes,
            rooms::a_history_is_that_of_both_nodes,
            rooms::a_node_that_stops_in_order_is_gone_at_once,
            stomp::topics_and_users_are_those_of_both_nodes,
            stomp::a_queue_is_that_of_one_node,
            stomp::a_node_that_stops_in_order_is_not_waited_for,
        }
    };
    (@ $engine:expr, #[$attribute:meta], $($module:ident::$name:ident,)*) => {
        $(
            #[$attribute]
            async fn $name() {
                $crate::$module::$name(&$engine).await;
            }
        )*
    };
}

/// The tests of TLS, for an engine whose driver was built with it.
#[macro_export]
macro_rules! tests_of_tls {
    ($engine:expr) => {
        $crate::tests! { @ $engine, #[tokio::test],
            tls::a_server_that_is_trusted_is_used,
            tls::a_server_that_is_not_trusted_is_told,
            tls::a_server_that_wants_a_certificate_gets_one,
            tls::one_side_without_tls_is_told,
        }
    };
}

/// Gives a driver's options what [`Settings`](engine::Settings) ask for, but for TLS.
#[macro_export]
macro_rules! options {
    ($options:expr, $settings:expr) => {{
        let settings: &$crate::engine::Settings = $settings;
        let mut options = $options.wait_for_server(!settings.is_early);
        if settings.is_quick {
            options = options
                .ping_interval(std::time::Duration::from_millis(300))
                .connect_timeout(std::time::Duration::from_millis(500))
                .max_reconnect_delay(std::time::Duration::from_millis(200));
        }
        if let Some((messages, bytes)) = settings.queue {
            options = options.queue(messages, bytes);
        }
        if let Some(messages) = settings.subscription_queue {
            options = options.subscription_queue(messages);
        }
        if let Some((user, password)) = settings.user {
            options = options.user_and_password(user, password);
        }
        options
    }};
}
