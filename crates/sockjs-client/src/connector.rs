//! Connections to the server, whatever they are made of.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use tower_service::Service;

use crate::error::BoxError;

/// Opens connections. The library below is generic over it; a pointer keeps that out of this crate's types.
#[derive(Clone)]
pub(crate) struct Connector(Arc<dyn Dial>);

pub(crate) type Dialing = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

pub(crate) trait Dial: Send + Sync {
    fn dial(&self, uri: Uri) -> Dialing;
}

impl Connector {
    pub(crate) fn new(dial: impl Dial + 'static) -> Self {
        Self(Arc::new(dial))
    }

    /// Connections by TCP, to `http` URLs.
    pub(crate) fn tcp() -> Self {
        Self::new(Over(tcp()))
    }

    /// Connections by TCP and TLS, to `https` URLs, and by TCP to `http` URLs.
    #[cfg(feature = "rustls")]
    pub(crate) fn tls(config: rustls::ClientConfig, only_http1: bool) -> Self {
        let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let mut tcp = tcp();
        tcp.enforce_http(false);
        #[cfg(feature = "http2")]
        if !only_http1 {
            return Self::new(Over(builder.enable_all_versions().wrap_connector(tcp)));
        }
        let _ = only_http1;
        Self::new(Over(builder.enable_http1().wrap_connector(tcp)))
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Dialing;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Dialing {
        self.0.dial(uri)
    }
}

/// A connector of a library.
struct Over<C>(C);

impl<C> Dial for Over<C>
where
    C: Service<Uri, Response: Io + 'static, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    fn dial(&self, uri: Uri) -> Dialing {
        let mut connector = self.0.clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| connector.poll_ready(cx)).await.map_err(Into::into)?;
            connector.call(uri).await.map(Stream::new).map_err(Into::into)
        })
    }
}

pub(crate) trait Io: Read + Write + Connection + Send + Unpin {}

impl<T: Read + Write + Connection + Send + Unpin> Io for T {}

/// A connection.
pub(crate) struct Stream(Box<dyn Io>);

impl Stream {
    pub(crate) fn new(io: impl Io + 'static) -> Self {
        Self(Box::new(io))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
