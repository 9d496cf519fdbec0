//! What a name and a message may hold. Pure functions of text.

use crate::protocol::Refusal;

/// Tidies a name: white space at the ends goes, inside it becomes one space.
///
/// # Errors
/// Nothing left, longer than `longest` characters, or characters that show nothing or turn the text's
/// direction around: with them two names could look the same.
pub fn nick(raw: &str, longest: usize) -> Result<String, Refusal> {
    let nick = raw.split_whitespace().collect::<Vec<_>>().join(" ");
    let fault = if nick.is_empty() {
        "A name has at least one character.".to_owned()
    } else if nick.chars().any(is_hidden) {
        "That name has characters that cannot be seen.".to_owned()
    } else if nick.chars().count() > longest {
        format!("A name has at most {longest} characters.")
    } else {
        return Ok(nick);
    };
    Err(Refusal::new("nick", fault))
}

/// The form in which two names are compared: case does not tell them apart.
pub fn nick_key(nick: &str) -> String {
    nick.to_lowercase()
}

/// Tidies a message: line ends become `\n`, control characters other than tab go, and so do blank lines at the
/// start and white space at the end.
///
/// # Errors
/// Nothing left, or longer than `longest` characters.
pub fn message(raw: &str, longest: usize) -> Result<String, Refusal> {
    let lines = raw.replace("\r\n", "\n").replace('\r', "\n");
    let is_kept = |character: &char| !character.is_control() || matches!(character, '\n' | '\t');
    let text: String = lines.chars().filter(is_kept).collect();
    let text = text.trim_end().trim_start_matches('\n');
    if text.chars().all(|character| character.is_whitespace() || is_hidden(character)) {
        Err(Refusal::new("empty", "There is nothing in that message."))
    } else if text.chars().count() > longest {
        Err(Refusal::new("long", format!("A message has at most {longest} characters.")))
    } else {
        Ok(text.to_owned())
    }
}

/// Controls, the invisible characters and the ones that turn the direction of text.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nick(raw: &str, longest: usize) -> Result<String, String> {
        super::nick(raw, longest).map_err(|refusal| refusal.text)
    }

    fn message(raw: &str, longest: usize) -> Result<String, &'static str> {
        super::message(raw, longest).map_err(|refusal| refusal.code)
    }

    fn refused<T>(fault: &str) -> Result<T, String> {
        Err(fault.to_owned())
    }

    #[test]
    fn a_name_is_tidied() {
        assert_eq!(nick("  Ada \t  Lovelace\n", 24), Ok("Ada Lovelace".to_owned()));
        assert_eq!(nick("Zoë 🌿", 24), Ok("Zoë 🌿".to_owned()));
    }

    #[test]
    fn a_name_counts_characters_not_bytes() {
        assert_eq!(nick(&"é".repeat(23), 24).map(|nick| nick.len()), Ok(46));
        assert!(nick(&"é".repeat(24), 24).is_ok());
        assert_eq!(nick(&"é".repeat(25), 24), refused("A name has at most 24 characters."));
        // A space between words counts, spaces around do not.
        assert!(nick(&format!("  {} b  ", "a".repeat(22)), 24).is_ok());
        assert_eq!(nick(&format!("{} b", "a".repeat(23)), 24), refused("A name has at most 24 characters."));
    }

    #[test]
    fn a_name_shows_all_it_holds() {
        assert_eq!(nick("", 24), refused("A name has at least one character."));
        assert_eq!(nick(" \u{a0}\u{2003} ", 24), refused("A name has at least one character."));
        for hidden in [
            "a\0b",
            "a\u{7f}b",
            "a\u{9b}b",
            "a\u{200d}b",
            "\u{202e}adA",
            "\u{feff}a",
            "a\u{2066}",
            "\u{3164}",
        ] {
            assert_eq!(
                nick(hidden, 24),
                refused("That name has characters that cannot be seen."),
                "{hidden:?}"
            );
        }
    }

    #[test]
    fn names_differ_by_more_than_case() {
        assert_eq!(nick_key("ÉMILE Zola"), nick_key("émile zola"));
        assert_ne!(nick_key("emile"), nick_key("émile"));
    }

    #[test]
    fn a_message_keeps_its_lines_and_loses_its_controls() {
        assert_eq!(message("\r\n\n  a\r\nb\rc\t\x1b[31md\0 \n\n", 99), Ok("  a\nb\nc\t[31md".to_owned()));
        // A family is one picture made of characters joined by U+200D: it must survive.
        assert_eq!(message("👩‍👩‍👦", 99), Ok("👩‍👩‍👦".to_owned()));
    }

    #[test]
    fn a_message_says_something() {
        for nothing in ["", " \n\t ", "\0\x01", "\u{200b}\u{2060}"] {
            assert_eq!(message(nothing, 99), Err("empty"), "{nothing:?}");
        }
    }

    #[test]
    fn a_message_has_a_longest_length() {
        assert!(message(&"é".repeat(9), 10).is_ok());
        assert!(message(&"é".repeat(10), 10).is_ok());
        assert_eq!(message(&"é".repeat(11), 10), Err("long"));
        assert!(message(&format!("{}   ", "é".repeat(10)), 10).is_ok());
    }
}
