//! SockJS in front of any WebSocket server: see the README.

use std::process::ExitCode;

fn main() -> ExitCode {
    sockjs_gateway::run()
}
