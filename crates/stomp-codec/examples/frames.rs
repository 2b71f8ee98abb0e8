//! Prints the frames that come on standard input, as clients send them, or as servers do:
//!
//! ```sh
//! printf 'SEND\ndestination:/a\n\nhello\0' | cargo run --package stomp-codec --example frames -- client 1.2
//! ```

use std::io::{self, Read as _};

use stomp_codec::{Decoder, Limits, Version};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut decoder = match arguments.first().map(String::as_str) {
        Some("client") => Decoder::of_client(Limits::new()),
        Some("server") => Decoder::of_server(Limits::new()),
        _ => return Err("frames client|server [VERSION]".into()),
    };
    // Without a version escapes are shown as they are.
    if let Some(name) = arguments.get(1) {
        decoder.set_version(Version::newest(name).ok_or("the versions are 1.0, 1.1 and 1.2")?);
    }
    let mut buffer = [0; 4096];
    loop {
        let read = io::stdin().read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let mut piece = buffer[..read].to_vec().into();
        while let Some(frame) = decoder.decode(&mut piece)? {
            println!("{}", frame.command);
            for (name, value) in frame.headers.iter() {
                println!("  {name:?}: {value:?}");
            }
            println!("  {:?}", frame.body);
        }
    }
}
