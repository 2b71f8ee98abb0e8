//! Who answers cross-origin requests.

/// Who answers cross-origin requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Cors {
    /// This crate answers preflight requests and sends the `Access-Control` headers that sockjs-client
    /// needs, to the origins that [`Options::origins`](crate::Options::origins) lets in: by name and with credentials.
    #[default]
    BuiltIn,
    /// This crate sends none of it, for a `CorsLayer` around it to do so. That layer must allow credentials.
    /// Preflight requests that reach the endpoint nevertheless get 405, which does not list `OPTIONS`. [`Options::origins`](crate::Options::origins) is judged all the
    /// same: allow there what the layer allows, or any.
    External,
}
