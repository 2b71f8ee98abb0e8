//! `--healthcheck`: for containers, in which there is nothing else to ask with.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// For each step.
const TIMEOUT: Duration = Duration::from_secs(3);

/// As much of the answer as has its status.
const STATUS_LINE: usize = "HTTP/1.1 200".len();

/// Asks `/healthz` at the address; an error says what is not well.
pub(super) fn ask(admin: Option<SocketAddr>) -> Result<(), String> {
    let Some(admin) = admin else {
        return Err("there is no `admin` address to ask at".to_owned());
    };
    match status(here(admin)) {
        Ok(status) if status == "200" => Ok(()),
        Ok(status) => Err(format!("{admin} answers {}", status.escape_debug())),
        Err(error) => Err(format!("{admin}: {error}")),
    }
}

/// An address for all networks is one of this machine.
fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

fn status(address: SocketAddr) -> io::Result<String> {
    let mut tcp = TcpStream::connect_timeout(&address, TIMEOUT)?;
    tcp.set_read_timeout(Some(TIMEOUT))?;
    tcp.set_write_timeout(Some(TIMEOUT))?;
    tcp.write_all(
        format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut line = [0; STATUS_LINE];
    tcp.read_exact(&mut line)?;
    let line = String::from_utf8_lossy(&line);
    Ok(line.strip_prefix("HTTP/1.1 ").unwrap_or(&line).to_owned())
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn answer(answer: &'static [u8]) -> Result<(), String> {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                tcp.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            tcp.write_all(answer).unwrap();
            request
        });
        let well = ask(Some(address));
        assert!(server.join().unwrap().starts_with(b"GET /healthz HTTP/1.1\r\n"));
        well
    }

    #[test]
    fn only_200_is_well() {
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(()));
        assert!(answer(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err().ends_with("answers 503"));
        assert!(answer(b"220 mail.exam").is_err() && answer(b"").is_err());
        assert!(ask(None).unwrap_err().contains("`admin`"));
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(Some(closed)).is_err());
    }
}
