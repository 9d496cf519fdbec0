//! The macro that writes a type of limits and times, with its defaults and setters, and how a client is told of a time. The types
//! stand where they are used.

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

/// The longest time that a client is told, in milliseconds: it sets a timer to the sum of two, which in JavaScript has 31 bits.
#[cfg(any(feature = "socketio", feature = "bayeux", feature = "atmosphere", feature = "pushlet"))]
const LONGEST: u64 = i32::MAX as u64 / 2;

/// A time as a client is told it, in milliseconds: 12 days at most.
#[cfg(any(feature = "socketio", feature = "bayeux", feature = "atmosphere", feature = "pushlet"))]
pub(crate) fn timer_millis(time: core::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).map_or(LONGEST, |millis| millis.min(LONGEST))
}

#[cfg(all(test, any(feature = "socketio", feature = "bayeux", feature = "atmosphere", feature = "pushlet")))]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn a_client_is_told_no_time_that_its_timer_cannot_keep() {
        for (time, told) in [
            (Duration::ZERO, 0),
            (Duration::from_secs(25), 25_000),
            (Duration::from_millis(LONGEST - 1), LONGEST - 1),
            (Duration::from_millis(LONGEST), LONGEST),
            (Duration::from_millis(LONGEST + 1), LONGEST),
            (Duration::MAX, LONGEST),
        ] {
            assert_eq!(timer_millis(time), told);
        }
        assert!(i32::try_from(2 * LONGEST).is_ok());
    }
}
