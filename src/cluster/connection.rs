//! A kept connection to another node, driven by whoever uses it: no task of its own, and nothing to hand over.

use std::{
    future::{Future as _, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{BoxError, body::Body};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, time::Instant};

use crate::util::timeout::timeout;

/// What is read ahead of a client that does not read, in bytes.
const READ_BUFFER: usize = 16 << 10;

/// After this long a connection that has not come about is tried once more: the system itself repeats its first packet
/// only after a second.
const AGAIN: Duration = Duration::from_millis(250);

/// As many attempts run side by side.
const ATTEMPTS: usize = 3;

/// A connection breaks if the other node's system has acknowledged nothing for this long, whether something was sent or
/// not. The node may live while packets of this connection vanish, and the system repeats them for a quarter of an hour.
/// A body that nobody reads for as long ends, too, as it does in proxies.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// A kept connection to another node. It is kept in a box, since it is large and moves often.
pub(super) struct Connection {
    requests: SendRequest<Body>,
    io: http1::Connection<TokioIo<TcpStream>, Body>,
    /// Whether `io` has completed, and must not be polled again.
    is_over: bool,
    pub(super) idle_since: Instant,
}

/// Why a request has no answer.
pub(super) enum Failed {
    /// Nothing of the request has left.
    Unsent(Box<Request<Body>>),
    /// The request may have arrived.
    Broken,
}

/// Whether an error says something about the other node. Others have their cause here: no file descriptor, no port, no
/// memory.
pub(super) fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionRefused
            | ConnectionReset
            | ConnectionAborted
            | HostUnreachable
            | NetworkUnreachable
            | TimedOut
    )
}

fn aborted<E: Into<BoxError>>(error: E) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, error)
}

/// Connects, with further attempts beside the first if its packet or the answer seems to be lost.
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut attempts = vec![Box::pin(TcpStream::connect(address))];
    loop {
        let mut again = pin!(tokio::time::sleep(AGAIN));
        let connected = poll_fn(|cx| {
            let mut n = 0;
            while n < attempts.len() {
                match attempts[n].as_mut().poll(cx) {
                    // The others may still succeed where this one lacked something here.
                    Poll::Ready(Err(error)) if attempts.len() > 1 && !is_of_the_peer(&error) => {
                        drop(attempts.swap_remove(n));
                    }
                    Poll::Ready(connected) => return Poll::Ready(Some(connected)),
                    Poll::Pending => n += 1,
                }
            }
            again.as_mut().poll(cx).map(|()| None)
        });
        if let Some(connected) = connected.await {
            return connected;
        }
        if attempts.len() < ATTEMPTS {
            attempts.push(Box::pin(TcpStream::connect(address)));
        }
    }
}

async fn open_stream(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = timeout(limit, Box::pin(connect(address))).await??;
    // Small requests would wait for the acknowledgement of the former one. What refuses it is broken already.
    stream.set_nodelay(true).map_err(aborted)?;
    // A system that has no such limits has its own.
    if let Err(error) = limit_silence(&stream, UNACKNOWLEDGED) {
        tracing::debug!(node = %address, %error, "a connection to a node has no limit of silence");
    }
    Ok(stream)
}

/// Lets the system break a connection after so long without an acknowledgement.
fn limit_silence(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let step = limit / 6;
    let keepalive = TcpKeepalive::new().with_time(step * 2);
    // Others have their own interval and number.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"))]
    let keepalive = keepalive.with_interval(step).with_retries(4);
    socket.set_tcp_keepalive(&keepalive)?;
    // What was sent and not acknowledged, where the system has a limit for it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(limit))?;
    Ok(())
}

impl Connection {
    pub(super) async fn open(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = open_stream(address, limit).await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(READ_BUFFER);
        let (requests, io) = builder.handshake(TokioIo::new(stream)).await.map_err(aborted)?;
        Ok(Self { requests, io, is_over: false, idle_since: Instant::now() })
    }

    /// Sends a request that asks for another protocol. Returns the headers of the answer that agrees, and the connection
    /// with what has come behind them.
    pub(super) async fn upgrade(self, request: Request<Body>) -> Option<(HeaderMap, TcpStream, BytesMut)> {
        let Self { mut requests, io, .. } = self;
        let upgraded = async {
            let mut answer = requests.send_request(request).await.ok()?;
            if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                return None;
            }
            let headers = std::mem::take(answer.headers_mut());
            Some((headers, hyper::upgrade::on(answer).await.ok()?))
        };
        let (mut upgraded, mut io) = (pin!(upgraded), pin!(io.with_upgrades()));
        let mut is_over = false;
        let upgraded = poll_fn(|cx| {
            if !is_over {
                is_over = io.as_mut().poll(cx).is_ready();
            }
            upgraded.as_mut().poll(cx)
        });
        let (headers, upgraded) = upgraded.await?;
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
        Some((headers, parts.io.into_inner(), parts.read_buf.into()))
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.is_over {
            self.is_over = Pin::new(&mut self.io).poll(cx).is_ready();
        }
    }

    /// Whether it can take a request at once.
    pub(super) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        !self.is_over && matches!(self.requests.poll_ready(cx), Poll::Ready(Ok(())))
    }

    /// Sends a request, and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, Failed> {
        let mut answer = pin!(self.requests.try_send_request(request));
        let (io, is_over) = (&mut self.io, &mut self.is_over);
        let answer = poll_fn(|cx| {
            if !*is_over {
                *is_over = Pin::new(&mut *io).poll(cx).is_ready();
            }
            answer.as_mut().poll(cx)
        });
        answer.await.map_err(|mut error| {
            error.take_message().map_or(Failed::Broken, |request| Failed::Unsent(Box::new(request)))
        })
    }

    /// The next piece of an answer's body.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // It says that it wants a piece, which is read then.
        if let Poll::Ready(piece) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(piece);
        }
        self.drive(cx);
        let piece = ready!(Pin::new(body).poll_frame(cx));
        Poll::Ready(piece)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpSocket},
        time::{sleep, timeout},
    };

    use super::*;

    #[test]
    fn what_is_lacking_here_says_nothing_of_the_other_node() {
        // EMFILE, ENFILE, and a kind that has a name.
        for error in [io::Error::from_raw_os_error(24), io::Error::from_raw_os_error(23)] {
            assert!(!is_of_the_peer(&error), "{error}");
        }
        assert!(!is_of_the_peer(&io::ErrorKind::AddrNotAvailable.into()));
        assert!(!is_of_the_peer(&io::ErrorKind::OutOfMemory.into()));
        assert!(is_of_the_peer(&io::ErrorKind::ConnectionRefused.into()));
        assert!(is_of_the_peer(&io::ErrorKind::TimedOut.into()));
    }

    #[cfg(target_os = "linux")]
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (end, other) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (end.unwrap(), other.unwrap().0)
    }

    /// Two ends of a connection, of which the second gets and acknowledges nothing any more: no packet comes through.
    #[cfg(target_os = "linux")]
    async fn vanished() -> (TcpStream, TcpStream) {
        let (end, other) = pair().await;
        // A filter of one instruction, `ret #0`: none of a packet's bytes are let in.
        SockRef::from(&other).attach_filter(&[socket2::SockFilter::new(6, 0, 0, 0)]).unwrap();
        (end, other)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_on_which_packets_vanish_breaks() {
        let breaks = async |sends| {
            let (mut end, _other) = vanished().await;
            // The system counts seconds.
            limit_silence(&end, Duration::from_secs(6)).unwrap();
            if sends {
                end.write_all(b"x").await.unwrap();
            }
            let read = timeout(Duration::from_secs(30), end.read(&mut [0])).await.expect("it breaks");
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut, "{sends}");
        };
        tokio::join!(breaks(true), breaks(false));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_from_which_nobody_reads_breaks() {
        let (mut end, _other) = pair().await;
        limit_silence(&end, Duration::from_secs(6)).unwrap();
        let written = timeout(Duration::from_secs(30), end.write_all(&vec![0; 64 << 20])).await;
        assert_eq!(written.expect("it breaks").unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// Whoever opens a connection gets one that breaks.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn connections_to_nodes_have_a_limit_of_silence() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = open_stream(listener.local_addr().unwrap(), Duration::from_secs(60)).await.unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), UNACKNOWLEDGED / 3);
        assert!(stream.nodelay().unwrap());
    }

    /// A listener whose backlog is full: the system drops the first packets of further connections.
    async fn full() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            filling.push(stream.unwrap());
        }
        (listener, filling)
    }

    #[tokio::test]
    async fn a_lost_first_packet_is_repeated_within_the_time() {
        let (listener, filling) = full().await;
        let address = listener.local_addr().unwrap();
        let room = async {
            sleep(Duration::from_millis(50)).await;
            for _ in &filling {
                listener.accept().await.unwrap();
            }
        };
        let limit = Duration::from_millis(800);
        let (opened, ()) = tokio::join!(Connection::open(address, limit), room);
        assert!(opened.is_ok(), "{:?}", opened.err());
    }
}
