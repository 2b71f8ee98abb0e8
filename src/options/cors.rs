//! Whether this crate or an outer layer answers cross-origin requests.

/// Whether this crate or an outer layer answers cross-origin requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Cors {
    /// This crate answers preflight requests and sends the `Access-Control` headers that sockjs-client needs. They
    /// name origins allowed by [`Options::origins`](crate::Options::origins) and allow credentials.
    #[default]
    BuiltIn,
    /// This crate sends no such headers, so that a `CorsLayer` around it can. That layer must allow credentials.
    /// Preflight requests that still reach the endpoint get 405, which does not list `OPTIONS`.
    /// [`Options::origins`](crate::Options::origins) is still checked: allow there the layer's origins, or any.
    External,
}
