//! The macro that writes a type of limits and times, with its defaults and setters. The types stand where they are used.

/// A type of settings: each with its documentation, its default, and a method of its name that sets it.
///
/// Those after `into` take what can become one. Those after `else` have methods that are written elsewhere.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $type:ident {
            $($(#[$doc:meta])* $visibility:vis $name:ident: $kind:ty = $default:expr;)*
        }
        $(into {
            $($(#[$into_doc:meta])* $into:ident: $into_kind:ty = $into_default:expr;)*
        })?
        $(else { $($other:ident: $other_kind:ty = $other_default:expr;)* })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[must_use]
        pub struct $type {
            $($(#[$doc])* $visibility $name: $kind,)*
            $($($(#[$into_doc])* $into: $into_kind,)*)?
            $($($other: $other_kind,)*)?
        }

        impl $type {
            /// The defaults.
            pub const fn new() -> Self {
                Self {
                    $($name: $default,)*
                    $($($into: $into_default,)*)?
                    $($($other: $other_default,)*)?
                }
            }

            $(
                $(#[$doc])*
                pub const fn $name(mut self, $name: $kind) -> Self {
                    self.$name = $name;
                    self
                }
            )*

            $($(
                $(#[$into_doc])*
                pub fn $into(mut self, $into: impl Into<$into_kind>) -> Self {
                    self.$into = $into.into();
                    self
                }
            )*)?
        }

        impl Default for $type {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

pub(crate) use settings;
