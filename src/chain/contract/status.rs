//! The contracts' enums, by hand: a number without a name is kept and shown.

use std::fmt;

macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal, $word:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vmeta])* $variant,)*
            /// A number that protocol.md does not name.
            Unknown(u8),
        }

        impl From<u8> for $name {
            fn from(number: u8) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }
        }

        impl From<$name> for u8 {
            fn from(status: $name) -> Self {
                match status {
                    $($name::$variant => $number,)*
                    $name::Unknown(other) => other,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($word),)*
                    Self::Unknown(other) => write!(f, "unknown ({other})"),
                }
            }
        }
    };
}

wire_enum! {
    /// Where a task stands on chain (protocol.md, section 3).
    TaskStatus {
        /// Published; nobody has taken it.
        New = 0, "new";
        /// A provider has taken it.
        Attempted = 1, "attempted";
        /// There is a response, not confirmed.
        Responded = 2, "responded";
        /// The client took it back.
        Canceled = 3, "canceled";
        /// Its time is over, and somebody has touched it since.
        Expired = 4, "expired";
        /// A response is confirmed and paid.
        Finalized = 5, "finalized";
    }
}

impl TaskStatus {
    /// Whether nothing can change the task any more.
    ///
    /// Not for an unknown status: nobody knows what can follow it.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Canceled | Self::Expired | Self::Finalized => true,
            Self::New | Self::Attempted | Self::Responded | Self::Unknown(_) => false,
        }
    }
}

wire_enum! {
    /// Where a response stands on chain.
    ResponseStatus {
        /// On chain, not paid.
        Submitted = 0, "submitted";
        /// Paid; irreversible.
        Confirmed = 1, "confirmed";
    }
}

wire_enum! {
    /// Whether a source takes new tasks.
    SourceStatus {
        /// It does.
        Active = 0, "active";
        /// It does not, and never will again.
        Inactive = 1, "inactive";
    }
}

wire_enum! {
    /// Who confirms a response (protocol.md, section 5).
    Delivery {
        /// The client or its agent.
        Manual = 0, "manual confirmation";
        /// The contract, when the first response comes.
        FirstResponse = 1, "first response";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_the_way_there_and_back() {
        for number in 0..=u8::MAX {
            assert_eq!(u8::from(TaskStatus::from(number)), number);
            assert_eq!(u8::from(ResponseStatus::from(number)), number);
            assert_eq!(u8::from(SourceStatus::from(number)), number);
            assert_eq!(u8::from(Delivery::from(number)), number);
        }
    }

    #[test]
    fn an_unknown_status_is_shown_with_its_number_and_is_not_final() {
        let status = TaskStatus::from(6);
        assert_eq!(status, TaskStatus::Unknown(6));
        assert_eq!(status.to_string(), "unknown (6)");
        assert!(!status.is_final());
    }
}
