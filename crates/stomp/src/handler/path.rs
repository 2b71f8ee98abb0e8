//! The parameters of a destination.

use std::{error::Error, fmt, slice, sync::Arc};

use bytestring::ByteString;
use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, IntoDeserializer, Visitor,
        value::{MapDeserializer, SeqDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{context::Context, extract::FromMessage, rejection::Rejection};

/// The parameters of the destination, as axum's `Path` has those of a URL.
///
/// For a handler of `/chat/{room}/{line}`: a tuple in the order of the path, a struct or a map by their names; and for
/// one parameter also the value alone. Values are strings, characters, numbers, booleans, unit variants of enums,
/// `Option`s and newtypes of these, or what else deserializes from them.
///
/// ```
/// # use axum_stomp::{Path, Routes};
/// # use serde::Deserialize;
/// #[derive(Deserialize)]
/// struct Place {
///     room: String,
///     line: u32,
/// }
///
/// async fn edit(Path(place): Path<Place>) {}
/// async fn delete(Path((room, line)): Path<(String, u32)>) {}
///
/// let routes: Routes<()> = Routes::new()
///     .message("/edit/{room}/{line}", edit)
///     .message("/delete/{room}/{line}", delete);
/// ```
///
/// Destinations are plain text and no URLs: nothing is decoded, and `%2F` stays as it is.
///
/// Rejected with "the destination's parameter `line` is not `u32`", or "the parameters of the destination are not what
/// is expected". If the number or the names of the parameters are others than the path of the handler has, that is no
/// fault of the client's, as is a `Path` where there is no path: in `on_connect` and in rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromMessage<S> for Path<T> {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        T::deserialize(Params(&context.frame.params)).map(Self).map_err(|error| {
            let text = match &error {
                Mismatch::Parse { name, expected } => {
                    format!("the destination's parameter `{name}` is not `{expected}`")
                }
                Mismatch::Count { .. } | Mismatch::Missing(_) => {
                    return Rejection::fault(format!("{error} (the path is \"{}\")", context.route()));
                }
                Mismatch::Custom(_) => {
                    "the parameters of the destination are not what is expected".to_owned()
                }
            };
            Rejection::new(text).with_source(error)
        })
    }
}

/// A value that is the whole of a text.
pub(super) fn from_text<T: DeserializeOwned>(text: ByteString) -> Result<T, Rejection> {
    T::deserialize(Params(&[(NO_NAME.into(), text)])).map_err(|error| {
        let text = match &error {
            Mismatch::Parse { expected, .. } => format!("the text of the body is not `{expected}`"),
            _ => "the text of the body is not what is expected".to_owned(),
        };
        Rejection::new(text).with_source(error)
    })
}

/// What a text is called that is no parameter: these have names.
const NO_NAME: &str = "";

/// Why parameters do not fit a type.
#[derive(Debug)]
enum Mismatch {
    Parse { name: String, expected: &'static str },
    Count { expected: usize, actual: usize },
    Missing(&'static str),
    Custom(String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse { expected, .. } => write!(f, "not `{expected}`"),
            Self::Count { expected, actual } => {
                write!(f, "Path is of {expected} parameters, and the destination has {actual}")
            }
            Self::Missing(name) => write!(f, "the destination has no parameter `{name}`"),
            Self::Custom(text) => f.write_str(text),
        }
    }
}

impl Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Custom(text.to_string())
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }
}

/// All parameters, one of them, or a text.
#[derive(Clone, Copy)]
struct Params<'de>(&'de [(Arc<str>, ByteString)]);

impl<'de> Params<'de> {
    fn expect(self, expected: usize) -> Result<Self, Mismatch> {
        let actual = self.0.len();
        if actual == expected { Ok(self) } else { Err(Mismatch::Count { expected, actual }) }
    }

    fn only(self) -> Result<(&'de str, &'de str), Mismatch> {
        match self.0 {
            [(name, text)] => Ok((name, text)),
            several => Err(Mismatch::Count { expected: 1, actual: several.len() }),
        }
    }

    /// Each with its name.
    fn each(self) -> Result<impl Iterator<Item = (&'de str, Self)>, Mismatch> {
        if self.0.iter().any(|(name, _)| **name == *NO_NAME) {
            return Err(de::Error::custom("a text is one value"));
        }
        Ok(self.0.iter().map(|one| (&*one.0, Self(slice::from_ref(one)))))
    }
}

impl<'de> IntoDeserializer<'de, Mismatch> for Params<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Methods for what is parsed from the text of the only parameter.
macro_rules! parsed {
    ($($method:ident $visit:ident $type:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            let (name, text) = self.only()?;
            let expected = stringify!($type);
            let parsed = text.parse::<$type>();
            visitor.$visit(parsed.map_err(|_| Mismatch::Parse { name: name.to_owned(), expected })?)
        })*
    };
}

impl<'de> Deserializer<'de> for Params<'de> {
    type Error = Mismatch;

    parsed! {
        deserialize_bool visit_bool bool
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_i128 visit_i128 i128
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_u128 visit_u128 u128
        deserialize_f32 visit_f32 f32
        deserialize_f64 visit_f64 f64
        deserialize_char visit_char char
    }

    forward_to_deserialize_any! { str string identifier }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_borrowed_str(self.only()?.1)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_borrowed_bytes(self.only()?.1.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_seq(SeqDeserializer::new(self.each()?.map(|(_, one)| one)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.expect(len)?.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_map(MapDeserializer::new(self.each()?))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_enum(StrDeserializer::new(self.only()?.1))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::{
        super::{error::HandlerError, testing::World},
        *,
    };

    async fn path<T: DeserializeOwned + Send + 'static>(
        params: &[(&'static str, &'static str)],
    ) -> Result<T, HandlerError> {
        World::send("").params(params).call(async |Path(path): Path<T>| path).await
    }

    async fn told<T: DeserializeOwned + Send + 'static>(params: &[(&'static str, &'static str)]) -> String {
        match path::<T>(params).await {
            Ok(_) => "no error".to_owned(),
            Err(error) => error.client_text(),
        }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Named {
        room: String,
        line: Option<u32>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Pair(String, i8);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Id(u64);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Color {
        Red,
    }

    #[tokio::test]
    async fn one_parameter_is_a_value() {
        assert_eq!(path::<String>(&[("a", "x%2Fé")]).await.unwrap(), "x%2Fé");
        assert_eq!(path::<i128>(&[("a", "-3")]).await.unwrap(), -3);
        assert_eq!(path::<f32>(&[("a", "1.5")]).await.unwrap(), 1.5);
        assert_eq!(path::<(bool,)>(&[("a", "true")]).await.unwrap(), (true,));
        assert_eq!(path::<char>(&[("a", "é")]).await.unwrap(), 'é');
        assert_eq!(path::<Id>(&[("a", "7")]).await.unwrap(), Id(7));
        assert_eq!(path::<Option<Id>>(&[("a", "7")]).await.unwrap(), Some(Id(7)));
        assert_eq!(path::<Color>(&[("a", "red")]).await.unwrap(), Color::Red);
    }

    #[tokio::test]
    async fn several_are_a_tuple_a_struct_or_a_map() {
        let params = [("room", "x"), ("line", "3")];
        assert_eq!(path::<(String, u8)>(&params).await.unwrap(), ("x".to_owned(), 3));
        assert_eq!(path::<Pair>(&params).await.unwrap(), Pair("x".to_owned(), 3));
        assert_eq!(path::<Named>(&params).await.unwrap(), Named { room: "x".to_owned(), line: Some(3) });
        assert_eq!(path::<Named>(&params[..1]).await.unwrap(), Named { room: "x".to_owned(), line: None });
        let map = path::<HashMap<String, String>>(&params).await.unwrap();
        assert_eq!((map.len(), &*map["line"]), (2, "3"));
        assert_eq!(path::<Vec<String>>(&params).await.unwrap(), ["x", "3"]);
        assert_eq!(path::<()>(&[]).await.unwrap(), ());
    }

    #[tokio::test]
    async fn a_client_is_told_which_parameter_is_wrong() {
        assert_eq!(told::<u32>(&[("id", "secret")]).await, "the destination's parameter `id` is not `u32`");
        let params = [("room", "x"), ("line", "secret")];
        for told in [told::<Named>(&params).await, told::<(String, u32)>(&params).await] {
            assert_eq!(told, "the destination's parameter `line` is not `u32`");
        }
        let text = "the parameters of the destination are not what is expected";
        assert_eq!(told::<Color>(&[("id", "secret")]).await, text);
    }

    #[tokio::test]
    async fn a_path_that_cannot_fit_is_no_fault_of_the_client_s() {
        let two = [("a", "1"), ("b", "2")];
        for error in [
            path::<u32>(&two).await.map(drop),
            path::<(u32,)>(&two).await.map(drop),
            path::<Color>(&[]).await.map(drop),
            path::<Named>(&two).await.map(drop),
        ] {
            let error = error.unwrap_err();
            assert_eq!(
                (error.client_text(), error.is_fault()),
                ("internal error".to_owned(), true),
                "{error}"
            );
        }
        let error = path::<u32>(&two).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "Path is of 1 parameters, and the destination has 2 (the path is \"/chat/{room}\")"
        );
    }
}
