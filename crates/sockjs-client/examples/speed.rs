//! Echoes messages through a server, and says how many per second of this process's processor time:
//! `speed URL TRANSPORT BYTES IN_FLIGHT SECONDS`. `bench/client` runs it beside the browser's client.

use std::{error::Error, time::Duration};

use clap::Parser;
use sockjs_client::{Client, Transport};
use tokio::time::{Instant, sleep};

/// Echoes messages through a server, and says how many per second of this process's processor time.
#[derive(Parser)]
struct Arguments {
    /// The URL of an endpoint that echoes
    url: String,
    transport: Transport,
    /// The length of a message
    bytes: usize,
    /// How many messages are on their way
    in_flight: usize,
    /// How long to measure; before, half of this warms up
    seconds: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut session = Client::new(&arguments.url)?.open(arguments.transport).await?;
    let text = "x".repeat(arguments.bytes);
    for _ in 0..arguments.in_flight {
        session.send(text.as_str()).await?;
    }
    let time = Duration::try_from_secs_f64(arguments.seconds)?;
    echo(&mut session, time / 2).await?;
    let (began, used) = (Instant::now(), processor_time()?);
    let echoed = echo(&mut session, time).await?;
    let (took, used) = (began.elapsed(), (processor_time()? - used).max(TICK));
    println!("{:.0} {:.0}", echoed as f64 / used.as_secs_f64(), echoed as f64 / took.as_secs_f64());
    Ok(())
}

async fn echo(session: &mut sockjs_client::Session, time: Duration) -> Result<u64, Box<dyn Error>> {
    let mut end = std::pin::pin!(sleep(time));
    let mut echoed = 0;
    loop {
        tokio::select! {
            message = session.recv() => {
                let message = message.ok_or_else(|| format!("{:?}", session.close_event()))?;
                session.send(message).await?;
                echoed += 1;
            }
            () = &mut end => return Ok(echoed),
        }
    }
}

/// The unit in which Linux says it.
const TICK: Duration = Duration::from_millis(10);

/// What this process has used so far, by Linux.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    // Fields 14 and 15, of which the name in parentheses may have spaces.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(TICK * u32::try_from(ticks)?)
}
