//! The kit on the bus in process.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sockjs_bus::{
    BoxFuture, Bus, InProcess,
    in_process::{connection::Connection, faults::Faults},
    kit,
};

#[derive(Default)]
struct Fixture {
    bus: InProcess,
    connections: Mutex<Vec<Arc<Connection>>>,
}

impl kit::Fixture for Fixture {
    fn connect(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
        let connection = Arc::new(self.bus.connect());
        self.connections.lock().unwrap().push(Arc::clone(&connection));
        Box::pin(async { connection as Arc<dyn Bus> })
    }

    fn set_outage(&self, is_down: bool) -> BoxFuture<'_, bool> {
        for connection in &*self.connections.lock().unwrap() {
            if is_down {
                connection.disconnect();
            } else {
                connection.reconnect();
            }
        }
        Box::pin(async { true })
    }
}

#[tokio::test(start_paused = true)]
async fn the_bus_in_process_is_a_bus() {
    kit::all(&Fixture::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_too() {
    kit::all(&Fixture::default()).await;
}

/// Whether a rule of the kit fails on a bus with these faults.
async fn is_found(faults: Faults) -> bool {
    let fixture = Fixture::default();
    fixture.bus.set_faults(faults, 1);
    tokio::spawn(async move { kit::order_is_kept(&fixture).await }).await.is_err_and(|error| error.is_panic())
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_loses_or_repeats_messages_is_none() {
    assert!(is_found(Faults::none().drop_percent(1)).await);
    assert!(is_found(Faults::none().repeat_percent(1)).await);
    let slow = Duration::from_millis(1)..Duration::from_millis(300);
    assert!(!is_found(Faults::none().delay(slow)).await, "slowness is no fault");
}

/// An engine that comes back with nothing.
#[derive(Default)]
struct Forgetful(Fixture);

impl kit::Fixture for Forgetful {
    fn connect(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
        self.0.connect()
    }

    fn set_outage(&self, is_down: bool) -> BoxFuture<'_, bool> {
        if !is_down {
            self.0.bus.lose_streams();
        }
        self.0.set_outage(is_down)
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_loses_its_streams_is_told_from_one_that_does_not() {
    let task = tokio::spawn(async { kit::an_outage_leaves_no_hole_in_a_stream(&Forgetful::default()).await });
    assert!(task.await.is_err_and(|error| error.is_panic()));
}
