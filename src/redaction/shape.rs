//! The fields of an object that are kept, as a tree.

use std::collections::BTreeMap;

/// The grammar of a value that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// A name of an object. Texts may contain it.
    Name,
    /// A location of images. Texts may contain it.
    Place,
    /// A free text, word by word.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A time.
    Time,
    /// A digest.
    Digest,
    /// An override value.
    Pairs,
    /// The environment of a container.
    Environment,
    /// A command line.
    Arguments,
}

/// What is kept of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A value.
    Leaf(Keep),
    /// Fields of an object, by name.
    Fields(BTreeMap<&'static str, Shape>),
    /// All elements of a list, or all values of an object.
    Each(Box<Shape>),
}

/// Every element of a list or value of an object, in a path.
const EACH: &str = "*";

impl Shape {
    /// A shape from paths, whose segments are separated by blanks because names of fields contain dots and slashes.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a (&'static str, Keep)>) -> Self {
        let mut root = Self::Fields(BTreeMap::new());
        for (path, keep) in paths {
            root.add(&mut path.split(' '), *keep);
        }
        root
    }

    fn add(&mut self, path: &mut dyn Iterator<Item = &'static str>, keep: Keep) {
        match path.next() {
            None => *self = Self::Leaf(keep),
            Some(EACH) => {
                if !matches!(self, Self::Each(_)) {
                    *self = Self::Each(Box::new(Self::Fields(BTreeMap::new())));
                }
                if let Self::Each(each) = self {
                    each.add(path, keep);
                }
            }
            Some(name) => {
                if !matches!(self, Self::Fields(_)) {
                    *self = Self::Fields(BTreeMap::new());
                }
                if let Self::Fields(fields) = self {
                    fields.entry(name).or_insert_with(|| Self::Fields(BTreeMap::new())).add(path, keep);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_a_tree() {
        let shape = Shape::of(&[("a b", Keep::Name), ("a c *", Keep::Place), ("d * e", Keep::Text)]);
        let Shape::Fields(fields) = &shape else { panic!("{shape:?}") };
        let Some(Shape::Fields(a)) = fields.get("a") else { panic!("{shape:?}") };
        assert_eq!(a.get("b"), Some(&Shape::Leaf(Keep::Name)));
        assert_eq!(a.get("c"), Some(&Shape::Each(Box::new(Shape::Leaf(Keep::Place)))));
        let Some(Shape::Each(d)) = fields.get("d") else { panic!("{shape:?}") };
        assert_eq!(**d, Shape::of(&[("e", Keep::Text)]));
    }
}
