//! Clients and servers for the tests.
