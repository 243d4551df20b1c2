//! JSON that all readers read alike: RFC 8259 within the bounds of I-JSON (RFC 7493), written in
//! canonical form (RFC 8785).

use std::{cell::Cell, fmt};

use serde::{
    Serialize,
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess,
        SeqAccess, Unexpected, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Number, Value};

/// A JSON object.
pub type Object = Map<String, Value>;

/// How deep arrays and objects may nest.
pub const DEPTH_MAX: usize = 32;
/// How many values a document may hold: a short text of many small ones takes much room.
pub const VALUES_MAX: usize = 200_000;
/// The largest integer that every reader keeps (RFC 7493 section 2.2).
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Reads an object. Member names that stand twice, deeper nesting than [`DEPTH_MAX`] and integers
/// beyond 2⁵³ are refused: readers differ on what they mean. So are more than [`VALUES_MAX`] values.
///
/// # Errors
/// [`JsonError`] with line and column.
pub fn parse_object(bytes: &[u8]) -> Result<Object, JsonError> {
    match parse(bytes)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError(serde_json::Error::custom("expected an object"))),
    }
}

/// Reads anything by the rules of [`parse_object`].
///
/// # Errors
/// As [`parse_object`].
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let left = Cell::new(VALUES_MAX);
    let strict = Strict {
        depth: 0,
        left: &left,
    };
    let value = strict.deserialize(&mut from)?;
    from.end()?;
    Ok(value)
}

/// Takes structs from an object, each of them from an object, and words from strings: serde itself would
/// take an array of their members for the one and `{"word": null}` for the other, as no other reader does.
///
/// # Errors
/// [`JsonError`] naming what does not fit.
pub fn read_object<T: DeserializeOwned>(object: &Object) -> Result<T, JsonError> {
    Ok(T::deserialize(members(object))?)
}

/// Takes them from anything.
///
/// # Errors
/// As [`read_object`].
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, JsonError> {
    Ok(T::deserialize(Named(value))?)
}

fn members(
    object: &Object,
) -> MapDeserializer<'_, impl Iterator<Item = (&str, Named<'_>)>, serde_json::Error> {
    let named = object.iter().map(|(name, value)| (&**name, Named(value)));
    MapDeserializer::new(named)
}

/// A value in which the members of structs are named.
struct Named<'v>(&'v Value);

impl<'v> IntoDeserializer<'v, serde_json::Error> for Named<'v> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'v> Deserializer<'v> for Named<'v> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(values) => {
                SeqDeserializer::new(values.iter().map(Named)).deserialize_any(visitor)
            }
            Value::Object(object) => members(object).deserialize_any(visitor),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'v>>(
        self,
        _name: &'static str,
        _members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(_) => Err(Self::Error::invalid_type(Unexpected::Seq, &"an object")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'v>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Object(_) => Err(Self::Error::invalid_type(Unexpected::Map, &"a string")),
            _ => self.0.deserialize_enum(name, variants, visitor),
        }
    }

    forward_to_deserialize_any! {
        <W: Visitor<'v>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// Writes the canonical form.
///
/// # Errors
/// [`JsonError`] for numbers that JSON does not have.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, JsonError> {
    Ok(serde_json_canonicalizer::to_vec(value)?)
}

/// It is not JSON, or not such that all readers agree on it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct JsonError(#[from] serde_json::Error);

#[derive(Clone, Copy)]
struct Strict<'l> {
    depth: usize,
    /// How many more values there may be.
    left: &'l Cell<usize>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth < DEPTH_MAX {
            true => Ok(Self {
                depth: self.depth + 1,
                ..self
            }),
            false => Err(E::custom(format_args!("nested deeper than {DEPTH_MAX}"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        let many = || D::Error::custom(format_args!("more than {VALUES_MAX} values"));
        self.left.set(left.ok_or_else(many)?);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        match value <= INTEGER_MAX {
            true => Ok(value.into()),
            false => Err(E::custom("an integer beyond 2^53")),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        match value.unsigned_abs() <= INTEGER_MAX {
            true => Ok(value.into()),
            false => Err(E::custom("an integer beyond 2^53")),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // serde_json reads integers that fit nowhere else as this.
        match (
            Number::from_f64(value),
            value.abs() < 9_007_199_254_740_992.0,
        ) {
            (Some(number), true) => Ok(Value::Number(number)),
            (_, _) => Err(E::custom("a number beyond 2^53")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Object::new();
        while let Some(name) = from.next_key::<String>()? {
            let value = from.next_value_seed(inner)?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "member `{}` stands twice",
                    name.escape_debug()
                )));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse_object(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn refuses_what_readers_differ_on() {
        assert!(refused(r#"{"a":1,"b":{"c":1,"c":2}}"#).contains("`c` stands twice"));
        assert!(refused(r#"{"a":1,"\u0061":2}"#).contains("`a` stands twice"));
        assert!(refused(r#"{"a":9007199254740993}"#).contains("2^53"));
        assert!(refused(r#"{"a":-9007199254740993}"#).contains("2^53"));
        assert!(refused(r#"{"a":123456789012345678901234567890}"#).contains("2^53"));
        assert!(refused("[]").contains("an object"));
        assert!(refused("{} {}").contains("trailing"));
        assert!(refused("{\"a\":NaN}").contains("expected value"));
        parse_object(b"{\"a\":\"\xff\"}").unwrap_err();
    }

    /// serde_json would take them.
    #[test]
    fn reads_structs_from_objects_alone() {
        #[derive(Debug, serde::Deserialize, PartialEq)]
        struct Outer {
            one: Inner,
            more: Vec<Inner>,
            none: Option<Inner>,
        }
        #[derive(Debug, serde::Deserialize, PartialEq)]
        struct Inner {
            count: u64,
        }
        let read = |text: &str| read_object::<Outer>(&parse_object(text.as_bytes()).unwrap());
        let (one, more) = (Inner { count: 1 }, vec![Inner { count: 2 }]);
        let good = r#"{"one":{"count":1},"more":[{"count":2}],"none":null}"#;
        let none = None;
        assert_eq!(read(good).unwrap(), Outer { one, more, none });
        for bad in [
            r#"{"one":[1],"more":[]}"#,
            r#"{"one":{"count":1},"more":[[2]]}"#,
            r#"{"one":{"count":1},"more":[],"none":[3]}"#,
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains("expected an object"), "{error}");
        }
    }

    #[test]
    fn reads_words_from_strings_alone() {
        #[derive(Debug, serde::Deserialize, PartialEq)]
        enum Word {
            Yes,
        }
        let read_word = |text: &str| read::<Option<Word>>(&parse(text.as_bytes()).unwrap());
        assert_eq!(read_word("\"Yes\"").unwrap(), Some(Word::Yes));
        assert_eq!(read_word("null").unwrap(), None);
        for bad in [r#"{"Yes":null}"#, "[\"Yes\"]", "\"No\"", "{}"] {
            assert!(read_word(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nests_as_deep_as_allowed_and_no_deeper() {
        let nested =
            |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(parse_object(nested(DEPTH_MAX - 1).as_bytes()).is_ok());
        assert!(refused(&nested(DEPTH_MAX)).contains("deeper"));
        // Deeper than the stack would take, if it were followed.
        assert!(refused(&nested(1_000_000)).contains("deeper"));
    }

    #[test]
    fn holds_as_many_values_as_allowed_and_no_more() {
        let many = |count: usize| format!(r#"{{"a":[{}0]}}"#, "0,".repeat(count - 3));
        assert!(parse_object(many(VALUES_MAX).as_bytes()).is_ok());
        assert!(refused(&many(VALUES_MAX + 1)).contains("values"));
    }

    /// The example of RFC 8785 section 3.2.3, sorted by UTF-16 code units.
    #[test]
    fn writes_members_in_the_order_of_rfc_8785() {
        let text = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let written = canonical(&parse_object(text.as_bytes()).unwrap()).unwrap();
        let written = String::from_utf8(written).unwrap();
        let order: Vec<_> = [
            "Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew",
        ]
        .iter()
        .map(|word| written.find(word).unwrap())
        .collect();
        assert!(order.is_sorted(), "{written}");
    }
}
