//! Closed sets of names, such as condition reasons.

/// Defines an enum without data, whose serialized names are those of its variants.
#[macro_export]
macro_rules! closed_set {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$of:meta])* $variant:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name {
            $($(#[$of])* $variant,)+
        }

        impl $name {
            /// All variants, in the order of their definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in conditions, events, reports and metric labels.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }
        }
    };
}
