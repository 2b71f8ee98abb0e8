//! An address at which a server listens, and what it speaks there.

use tokio::net::TcpListener;

use crate::connection::Protocol;
#[cfg(feature = "rustls")]
use crate::tls::Tls;

/// An address at which a [`Server`](crate::Server) listens, and what it speaks there: HTTP/1.1 without TLS, unless it is
/// told otherwise.
///
#[cfg_attr(all(feature = "http2", feature = "rustls"), doc = "```no_run")]
#[cfg_attr(not(all(feature = "http2", feature = "rustls")), doc = "```ignore")]
/// # async fn serve(app: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
/// use axum_sockjs_serve::{Listener, Server, Tls, terminated};
/// use tokio::net::TcpListener;
///
/// let tls = Tls::from_pem("/etc/app/certificate.pem", "/etc/app/key.pem")?;
/// let listeners = [
///     Listener::new(TcpListener::bind("0.0.0.0:443").await?).tls(&tls).http2(true),
///     Listener::new(TcpListener::bind("127.0.0.1:8081").await?),
/// ];
/// let report = Server::new().serve_all(listeners, app, terminated()).await;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Listener {
    pub(crate) tcp: TcpListener,
    #[cfg(feature = "rustls")]
    tls: Option<Tls>,
    #[cfg(feature = "http2")]
    http2: bool,
}

impl Listener {
    /// A listener for HTTP/1.1 without TLS.
    ///
    /// A request then says no scheme in its URI, and its host in `Host` alone, whatever its client has written: an absolute
    /// URL in the request line, or `:scheme` of HTTP/2. A proxy in front may have taken off TLS or not.
    pub fn new(tcp: TcpListener) -> Self {
        Self {
            tcp,
            #[cfg(feature = "rustls")]
            tls: None,
            #[cfg(feature = "http2")]
            http2: false,
        }
    }

    /// Speaks TLS, and nothing without it.
    ///
    /// A request then says in its URI that its scheme is `https`, over HTTP/1.1 too. A page of `http://HOST` is thus of
    /// another origin to the endpoints, without [`Options::scheme`](axum_sockjs::Options::scheme).
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, tls: &Tls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// Speaks HTTP/2 as well, with WebSockets over it (RFC 8441): over TLS with clients that ask for it by ALPN, without
    /// TLS with those that know it beforehand. Off by default.
    ///
    /// The streams of a connection share its memory limits, and a WebSocket over HTTP/2 ends with its connection:
    /// the stop cuts it off where it is not one of an [endpoint](crate::Server::endpoint)'s.
    #[cfg(feature = "http2")]
    pub fn http2(mut self, on: bool) -> Self {
        self.http2 = on;
        self
    }

    pub(crate) fn protocol(&self) -> Protocol {
        #[cfg(feature = "http2")]
        let http2 = self.http2;
        #[cfg(all(feature = "rustls", not(feature = "http2")))]
        let http2 = false;
        #[cfg(feature = "rustls")]
        if let Some(tls) = &self.tls {
            return Protocol::Tls(tls.acceptor(http2));
        }
        #[cfg(feature = "http2")]
        if http2 {
            return Protocol::EitherHttp;
        }
        Protocol::Http1
    }
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self::new(tcp)
    }
}
