//! What a room's key, a user and the data of a member have to be.
//!
//! Imports: nothing.

use std::{borrow::Borrow as _, hash::Hash};

use serde::{Serialize, de::DeserializeOwned};

/// The key of a room, or a user: any type with these traits, such as `String`, `u64` or an enum of the application's.
///
/// It is compared by `Eq` and `Hash`. The serde traits are for rooms over several nodes: what is equal has to be
/// serialized equally.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can be neither a room's key nor a user",
    note = "derive `serde::Serialize`, `serde::Deserialize`, `Clone`, `PartialEq`, `Eq` and `Hash`"
)]
pub trait Key: Serialize + DeserializeOwned + Clone + Eq + Hash + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Eq + Hash + Send + Sync + 'static> Key for T {}

/// The data of the application's for each member of a room: any type with these traits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the data of a room's member",
    note = "derive `serde::Serialize`, `serde::Deserialize` and `Clone`"
)]
pub trait Data: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Data for T {}

/// A reference to a [`Key`]: the key itself, or what it borrows, such as `str` for `String`.
///
/// Both have to be hashed and serialized equally.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no reference to a key of type `{K}`",
    note = "`&str` refers to a `String`, and `&K` to a key of type `K`"
)]
pub trait KeyRef<K>: ToOwned<Owned = K> + Serialize + Eq + Hash {}

impl<K, Q: ToOwned<Owned = K> + Serialize + Eq + Hash + ?Sized> KeyRef<K> for Q {}

/// Compares a key with a reference to one.
pub(crate) fn is_same<Q: ToOwned + Eq + ?Sized>(key: &Q::Owned, reference: &Q) -> bool {
    key.borrow() == reference
}
