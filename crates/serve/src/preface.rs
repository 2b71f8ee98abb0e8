//! Which HTTP a client begins with, where it says so in its first bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

/// What a client of HTTP/2 sends first (RFC 9113, 3.4). The method `PRI` is no other's.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until it is clear whether a client begins with HTTP/2, and returns that with what was read. `None` if that takes
/// longer than the limit, or if the connection breaks.
pub(crate) async fn read_preface<I>(io: &mut I, limit: Option<Duration>) -> Option<(bool, Box<[u8]>)>
where
    I: AsyncRead + Unpin,
{
    let read = async {
        let mut read = Vec::with_capacity(PREFACE.len());
        loop {
            let is_prefix = PREFACE.starts_with(&read);
            if !is_prefix || read.len() == PREFACE.len() {
                return Ok::<_, io::Error>((is_prefix, read));
            }
            let missing = u64::try_from(PREFACE.len() - read.len()).unwrap_or_default();
            if (&mut *io).take(missing).read_buf(&mut read).await? == 0 {
                return Ok((false, read));
            }
        }
    };
    let read = match limit {
        Some(limit) => timeout(limit, read).await.ok()?,
        None => read.await,
    };
    read.ok().map(|(is_http2, read)| (is_http2, read.into_boxed_slice()))
}

/// A connection of which something has been read ahead.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    read: Box<[u8]>,
    /// How much of that is read for good.
    consumed: usize,
    tcp: TcpStream,
}

impl ReadAhead {
    pub(crate) fn new(read: Box<[u8]>, tcp: TcpStream) -> Self {
        Self { read, consumed: 0, tcp }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.read[self.consumed..];
        if rest.is_empty() {
            return Pin::new(&mut self.tcp).poll_read(cx, buf);
        }
        let now = &rest[..rest.len().min(buf.remaining())];
        buf.put_slice(now);
        self.consumed += now.len();
        if self.consumed == self.read.len() {
            (self.read, self.consumed) = (Box::default(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncWriteExt as _, duplex},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_says_what_it_speaks() -> io::Result<()> {
        let with_more = [PREFACE.as_slice(), b"more"].concat();
        for (said, is_http2) in [
            (PREFACE.as_slice(), true),
            (&with_more, true),
            (b"GET / HTTP/1.1\r\n", false),
            (b"POST /", false),
            (b"PRI * HTTP/1.1\r\n\r\n", false),
            (b"P", false),
            (b"", false),
        ] {
            for pieces in [1, 7, 64] {
                let (mut client, mut server) = duplex(64);
                for piece in said.chunks(pieces) {
                    client.write_all(piece).await?;
                }
                client.shutdown().await?;
                let (found, read) = read_preface(&mut server, None).await.expect("nothing breaks");
                assert_eq!(found, is_http2, "{said:?}");
                let mut rest = Vec::new();
                server.read_to_end(&mut rest).await?;
                assert_eq!([&read, &*rest].concat(), said, "nothing is lost");
            }
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_too_little_is_given_up() -> io::Result<()> {
        let (mut client, mut server) = duplex(64);
        client.write_all(&PREFACE[..20]).await?;
        assert_eq!(read_preface(&mut server, Some(Duration::from_secs(10))).await, None);
        Ok(())
    }

    #[tokio::test]
    async fn what_was_read_ahead_comes_first() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let mut server = ReadAhead::new(b"abc".as_slice().into(), listener.accept().await?.0);
        client.write_all(b"de").await?;
        let mut read = [0; 2];
        server.read_exact(&mut read).await?;
        assert_eq!(&read, b"ab");
        let mut read = [0; 3];
        server.read_exact(&mut read).await?;
        assert_eq!(&read, b"cde");
        server.write_all(b"f").await?;
        assert_eq!(client.read_u8().await?, b'f');
        Ok(())
    }
}
