//! From keys to what is meant by them, and the list of them for the help screen.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::columns::ColumnName;
use super::window::Window;

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Quit,
    Suspend,
    Redraw,
    /// So many rows down, or up.
    Move(isize),
    /// So many screens.
    Screen(isize),
    First,
    Last,
    Enter,
    Back,
    Help,
    Open,
    Stalls,
    Gauges,
    Flame,
    Filter,
    SortNext,
    SortBy(ColumnName),
    Reverse,
    Window(Window),
    Mark,
    Pause,
    Export,
    /// Through time, by tenths of the window.
    Step(i64),
    // While a text is typed:
    Type(char),
    Erase,
    EraseWord,
    EraseAll,
    Accept,
    Cancel,
}

/// The keys, as the help screen lists them.
pub(crate) const KEYS: [(&str, &str); 19] = [
    ("Up Down j k", "one row; PgUp PgDn a screen; g G first and last"),
    (
        "Enter",
        "one name: its distribution, percentiles over time, slowest spans; there: the trace of the \
         selected span, or of the slowest, as a tree",
    ),
    ("Esc", "back; in the table: no filter"),
    ("/", "filter by name=db.* target~^sqlx level<=info, and so on; Enter keeps it"),
    ("s S", "sort by the next column; turn the order around"),
    ("R M P T X", "sort by rate, median (p50), p95, tail (p99), max"),
    ("B E L N", "sort by busy, errors, self time, name"),
    ("1 2 3 4", "the last 10 s, minute, 5 minutes; the whole run"),
    ("Left Right", "back and forward through time; [ ] by whole windows"),
    ("p space", "stop at this moment; again: go on"),
    ("o", "open spans by thread, those that hang in red with a !"),
    ("b", "what blocked the executor: the longest entries on threads that run futures, by name"),
    ("v", "values that the program has set: each gauge with its last value, and its trend"),
    ("f", "text flame graph of the end of the window"),
    ("m", "ask the recording to write a mark"),
    ("e", "append the selected row to a file, as a line of JSON"),
    ("Ctrl-L", "draw all anew"),
    ("Ctrl-Z", "suspend; fg brings it back"),
    ("q Ctrl-C", "quit"),
];

/// What a key means; `typing`: it goes into a line of text.
pub(crate) fn action(key: &KeyEvent, typing: bool) -> Option<Action> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if control {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('z') => Some(Action::Suspend),
            KeyCode::Char('l') => Some(Action::Redraw),
            KeyCode::Char('w') if typing => Some(Action::EraseWord),
            KeyCode::Char('u') if typing => Some(Action::EraseAll),
            KeyCode::Char('h') if typing => Some(Action::Erase),
            KeyCode::Char('f') if !typing => Some(Action::Screen(1)),
            KeyCode::Char('b') if !typing => Some(Action::Screen(-1)),
            _ => None,
        };
    }
    if key.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    if typing { typed(key.code) } else { pressed(key.code) }
}

fn typed(code: KeyCode) -> Option<Action> {
    Some(match code {
        KeyCode::Char(letter) if !letter.is_control() => Action::Type(letter),
        KeyCode::Backspace => Action::Erase,
        KeyCode::Enter => Action::Accept,
        KeyCode::Esc => Action::Cancel,
        _ => return None,
    })
}

fn pressed(code: KeyCode) -> Option<Action> {
    Some(match code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Up | KeyCode::Char('k') => Action::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Action::Move(1),
        KeyCode::PageUp => Action::Screen(-1),
        KeyCode::PageDown => Action::Screen(1),
        KeyCode::Home | KeyCode::Char('g') => Action::First,
        KeyCode::End | KeyCode::Char('G') => Action::Last,
        KeyCode::Enter => Action::Enter,
        KeyCode::Esc | KeyCode::Backspace => Action::Back,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => Action::Help,
        KeyCode::Char('o') => Action::Open,
        KeyCode::Char('b') => Action::Stalls,
        KeyCode::Char('v') => Action::Gauges,
        KeyCode::Char('f') => Action::Flame,
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Char('s') => Action::SortNext,
        KeyCode::Char('S') => Action::Reverse,
        KeyCode::Char('m') => Action::Mark,
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('e') => Action::Export,
        KeyCode::Left => Action::Step(-1),
        KeyCode::Right => Action::Step(1),
        KeyCode::Char('[') => Action::Step(-10),
        KeyCode::Char(']') => Action::Step(10),
        KeyCode::Char(letter) => {
            if let Some(at) = letter.to_digit(10) {
                let at = usize::try_from(at).ok()?.checked_sub(1)?;
                return Window::ALL.get(at).copied().map(Action::Window);
            }
            Action::SortBy(ColumnName::ALL.into_iter().find(|column| column.letter() == letter)?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, typing: bool) -> Option<Action> {
        action(&KeyEvent::new(code, KeyModifiers::NONE), typing)
    }

    #[test]
    fn letters_are_text_while_one_types() {
        assert_eq!(press(KeyCode::Char('q'), false), Some(Action::Quit));
        assert_eq!(press(KeyCode::Char('q'), true), Some(Action::Type('q')));
        assert_eq!(press(KeyCode::Esc, false), Some(Action::Back));
        assert_eq!(press(KeyCode::Esc, true), Some(Action::Cancel));
        assert_eq!(press(KeyCode::Char('\u{9b}'), true), None);
    }

    #[test]
    fn control_c_quits_even_while_one_types() {
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!([action(&key, false), action(&key, true)], [Some(Action::Quit); 2]);
        let alt = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::ALT);
        assert_eq!(action(&alt, false), None);
    }

    #[test]
    fn each_column_and_window_has_its_key() {
        for column in ColumnName::ALL {
            let code = KeyCode::Char(column.letter());
            assert_eq!(press(code, false), Some(Action::SortBy(column)));
        }
        for (at, window) in Window::ALL.into_iter().enumerate() {
            let digit = char::from_digit(at as u32 + 1, 10).unwrap();
            assert_eq!(press(KeyCode::Char(digit), false), Some(Action::Window(window)));
        }
        assert_eq!([press(KeyCode::Char('0'), false), press(KeyCode::Char('9'), false)], [None; 2]);
    }
}
