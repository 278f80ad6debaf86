//! The state of the screen, between a key and a drawing. Reads nothing, draws nothing.

use super::columns::ColumnName;
use super::input::{Input, InputOf, RowFilter};
use super::keys::Action;
use super::page::{Ask, Page, Row, RowKey, Subject, SubjectData, TraceKey};
use super::window::{SECOND_NS, Window, floor};
use spandrel_query::OrderRows as _;

/// What fills the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum View {
    #[default]
    Table,
    Detail(RowKey),
    /// The trace of a span of that row.
    Tree(RowKey, TraceKey),
    Open,
    Stalls,
    Gauges,
    Flame,
    Help,
}

/// Why a key does nothing.
const ONLY_OPEN: &str =
    "a folder of ring files has open spans only: `spandrel collect DIR -o FILE` makes a profile";

/// Whether an action makes sense where there are open spans only.
fn is_for_open(action: &Action, view: &View) -> bool {
    match action {
        Action::Quit | Action::Suspend | Action::Redraw | Action::Help => true,
        Action::Move(_) | Action::Screen(_) | Action::First | Action::Last => true,
        Action::Enter | Action::Back => *view == View::Help,
        _ => false,
    }
}

/// What has to be done besides drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// Something else is to be read.
    Read,
    Mark(String),
    /// A row is to be written to a file.
    Export,
    Redraw,
    Suspend,
    Quit,
}

#[derive(Debug, Default)]
pub(crate) struct App {
    /// There is no profile, and so nothing but open spans.
    pub(crate) has_only_open: bool,
    pub(crate) page: Option<Box<Page>>,
    /// Why there is no new page.
    pub(crate) missing: Option<String>,
    pub(crate) view: View,
    /// Where help goes back to.
    pub(crate) before_help: View,
    pub(crate) window: Window,
    /// Where time is stopped; `None`: it goes on.
    pub(crate) until_ns: Option<i64>,
    pub(crate) sort: ColumnName,
    pub(crate) is_reversed: bool,
    pub(crate) filter: RowFilter,
    /// The filter as it was before typing began.
    pub(crate) filter_before: RowFilter,
    pub(crate) input: Option<Input>,
    /// The rows of the page that are shown, in their order.
    pub(crate) order: Vec<usize>,
    pub(crate) selected: Option<RowKey>,
    /// The first line that is shown, of the table or of anything else that is longer than the screen.
    pub(crate) top: usize,
    /// The span of the detail that Enter opens; `None`: the first one.
    pub(crate) picked: Option<TraceKey>,
    /// Which spans are on which lines of the detail; known after it was drawn.
    pub(crate) picks: Vec<(usize, TraceKey)>,
    /// The first line of the detail, while the tree is shown.
    pub(crate) detail_top: usize,
    /// How many lines fit, and how many there are; known after drawing.
    pub(crate) lines_shown: usize,
    pub(crate) lines_total: usize,
    /// The last message, until the next key.
    pub(crate) message: Option<String>,
    pub(crate) clock: String,
}

impl App {
    pub(crate) fn ask(&self) -> Ask {
        let subject = match &self.view {
            View::Detail(key) => Subject::Detail(key.clone()),
            View::Tree(_, key) => Subject::Tree(*key),
            View::Open => Subject::Open,
            View::Stalls => Subject::Stalls,
            View::Gauges => Subject::Gauges,
            View::Flame => Subject::Flame,
            View::Table | View::Help => Subject::Table,
        };
        Ask { window: self.window, until_ns: self.until_ns, subject }
    }

    /// A new page has been read.
    pub(crate) fn take(&mut self, mut page: Box<Page>) {
        self.missing = None;
        // Open spans are known only for the present.
        if self.until_ns.is_some()
            && let Some(before) = &mut self.page
            && let (SubjectData::Open(old), SubjectData::Open(new)) =
                (&mut before.subject, &mut page.subject)
        {
            std::mem::swap(old, new);
        }
        // Another run begins at its own end.
        let run_id = self.page.as_ref().map(|page| page.health.run.id);
        if run_id.is_some_and(|id| id != page.health.run.id) && self.until_ns.take().is_some() {
            self.message = Some("a new run has begun".into());
        }
        self.page = Some(page);
        self.arrange();
    }

    /// Sorts the rows.
    pub(super) fn arrange(&mut self) {
        let Some(page) = &self.page else { return };
        let rows = &page.rows;
        let mut shown: Vec<(usize, &Row)> =
            rows.iter().enumerate().filter(|(_, row)| self.filter.has(row)).collect();
        shown.order_by(|(_, one), (_, other)| {
            let order = self.sort.order(one, other);
            let order = if self.is_reversed { order.reverse() } else { order };
            order.then_with(|| one.key.cmp(&other.key))
        });
        self.order = shown.into_iter().map(|(at, _)| at).collect();
        let is_shown = self.selected.as_ref().is_some_and(|key| self.position_of(key).is_some());
        if !is_shown {
            self.selected = self.row_at(0).map(|row| row.key.clone());
        }
    }

    /// The row at a position of the order.
    pub(crate) fn row_at(&self, position: usize) -> Option<&Row> {
        self.page.as_ref()?.rows.get(*self.order.get(position)?)
    }

    fn position_of(&self, key: &RowKey) -> Option<usize> {
        (0..self.order.len())
            .find(|position| self.row_at(*position).is_some_and(|row| row.key == *key))
    }

    /// The position of the selected row.
    pub(crate) fn selected_position(&self) -> usize {
        self.selected.as_ref().and_then(|key| self.position_of(key)).unwrap_or(0)
    }

    /// The selected row, or that of the detail.
    pub(crate) fn row(&self) -> Option<&Row> {
        let key = match &self.view {
            View::Detail(key) | View::Tree(key, _) => Some(key),
            _ => self.selected.as_ref(),
        }?;
        self.page.as_ref()?.rows.iter().find(|row| row.key == *key)
    }

    /// Carries out a key.
    pub(crate) fn apply(&mut self, action: Action) -> Effect {
        self.message = None;
        if self.has_only_open && !is_for_open(&action, &self.view) {
            self.message = Some(ONLY_OPEN.into());
            return Effect::Nothing;
        }
        match action {
            Action::Quit => return Effect::Quit,
            Action::Suspend => return Effect::Suspend,
            Action::Redraw => return Effect::Redraw,
            Action::Move(rows) => self.scroll(rows),
            Action::Screen(screens) => {
                let rows = self.lines_shown.saturating_sub(1).max(1);
                self.scroll(screens.saturating_mul(isize::try_from(rows).unwrap_or(1)));
            }
            Action::First => self.scroll(isize::MIN),
            Action::Last => self.scroll(isize::MAX),
            Action::Enter => return self.enter(),
            Action::Back => return self.back(),
            Action::Help => return self.help(),
            Action::Open => return self.toggle(View::Open),
            Action::Stalls => return self.toggle(View::Stalls),
            Action::Gauges => return self.toggle(View::Gauges),
            Action::Flame => return self.toggle(View::Flame),
            Action::Filter => {
                self.filter_before = self.filter.clone();
                let text = self.filter.text.clone();
                let effect = if self.view == View::Table { Effect::Nothing } else { Effect::Read };
                self.go(View::Table);
                self.input = Some(Input { of: InputOf::Filter, text, fault: None });
                return effect;
            }
            Action::Mark => {
                self.input = Some(Input { of: InputOf::Mark, text: String::new(), fault: None });
            }
            Action::SortNext => {
                let all = ColumnName::ALL;
                let at = all.iter().position(|column| *column == self.sort).unwrap_or(0);
                self.sort_by(all.get(at + 1).copied().unwrap_or(ColumnName::Rate));
            }
            Action::SortBy(column) => self.sort_by(column),
            Action::Reverse => {
                self.is_reversed = !self.is_reversed;
                self.arrange();
            }
            Action::Window(window) => {
                self.window = window;
                return Effect::Read;
            }
            Action::Pause => return self.pause(),
            Action::Step(tenths) => return self.step(tenths),
            Action::Export => return Effect::Export,
            Action::Type(_)
            | Action::Erase
            | Action::EraseWord
            | Action::EraseAll
            | Action::Accept
            | Action::Cancel => return self.edit(action),
        }
        Effect::Nothing
    }

    fn go(&mut self, view: View) {
        if self.view != view {
            self.view = view;
            self.top = 0;
        }
    }

    fn scroll(&mut self, rows: isize) {
        if self.view == View::Table {
            let last = self.order.len().saturating_sub(1);
            let position = self.selected_position().saturating_add_signed(rows).min(last);
            self.selected = self.row_at(position).map(|row| row.key.clone());
        } else if matches!(self.view, View::Detail(_)) && rows.unsigned_abs() == 1 {
            self.pick(rows > 0);
        } else {
            let last = self.lines_total.saturating_sub(self.lines_shown);
            self.top = self.top.saturating_add_signed(rows).min(last);
            // Makes visible what Enter opens.
            let (top, shown) = (self.top, self.lines_shown);
            let is_shown = |(line, key): &&(usize, TraceKey)| {
                self.picked == Some(*key) && (top..top + shown).contains(line)
            };
            if !self.picks.iter().any(|pick| is_shown(&pick)) {
                self.picked = None;
            }
        }
    }

    /// Goes to the next span of the detail, or to the one before, if it is visible; otherwise by one
    /// line.
    fn pick(&mut self, down: bool) {
        let at = self.picks.iter().position(|(_, key)| Some(*key) == self.picked);
        let seen = self.top..self.top + self.lines_shown;
        let next = match (at, down) {
            (None, true) => self.picks.iter().position(|(line, _)| seen.contains(line)),
            (Some(at), true) => Some(at + 1),
            (Some(at), false) => at.checked_sub(1),
            (None, false) => None,
        };
        let next = next.and_then(|next| self.picks.get(next)).copied();
        match next {
            Some((line, key)) if seen.contains(&line) => self.picked = Some(key),
            _ if !down && at == Some(0) => self.picked = None,
            _ => {
                let last = self.lines_total.saturating_sub(self.lines_shown);
                let step = if down { 1 } else { -1 };
                self.top = self.top.saturating_add_signed(step).min(last);
            }
        }
    }

    fn sort_by(&mut self, column: ColumnName) {
        (self.sort, self.is_reversed) = (column, false);
        self.go(View::Table);
        self.arrange();
    }

    fn enter(&mut self) -> Effect {
        match (&self.view, &self.selected) {
            (View::Table, Some(key)) => {
                let key = key.clone();
                self.picked = None;
                self.go(View::Detail(key));
                Effect::Read
            }
            (View::Detail(key), _) => match self.trace() {
                Some(trace) => {
                    let key = key.clone();
                    self.detail_top = self.top;
                    self.go(View::Tree(key, trace));
                    Effect::Read
                }
                None => {
                    self.message = Some("there is no span whose trace could be opened".into());
                    Effect::Nothing
                }
            },
            (View::Help, _) => self.back(),
            _ => Effect::Nothing,
        }
    }

    /// What Enter opens: the span that was picked, if it still exists; otherwise the slowest one.
    fn trace(&self) -> Option<TraceKey> {
        let SubjectData::Detail(detail) = &self.page.as_ref()?.subject else { return None };
        let picked = self.picked.filter(|picked| detail.spans().any(|span| span == *picked));
        picked.or_else(|| detail.spans().next())
    }

    fn back(&mut self) -> Effect {
        match &self.view {
            View::Tree(key, _) => {
                let key = key.clone();
                self.go(View::Detail(key));
                self.top = self.detail_top;
                Effect::Read
            }
            View::Table => {
                self.filter = RowFilter::default();
                self.arrange();
                Effect::Nothing
            }
            View::Help => {
                let view = std::mem::take(&mut self.before_help);
                self.go(view);
                Effect::Read
            }
            _ => {
                self.go(View::Table);
                Effect::Read
            }
        }
    }

    fn help(&mut self) -> Effect {
        if self.view == View::Help {
            return self.back();
        }
        self.before_help = self.view.clone();
        self.go(View::Help);
        Effect::Nothing
    }

    fn toggle(&mut self, view: View) -> Effect {
        let view = if self.view == view { View::Table } else { view };
        self.go(view);
        Effect::Read
    }

    fn pause(&mut self) -> Effect {
        self.until_ns = match (self.until_ns, &self.page) {
            (None, Some(page)) => Some(page.until_ns),
            _ => None,
        };
        Effect::Read
    }

    fn step(&mut self, tenths: i64) -> Effect {
        let Some(page) = &self.page else { return Effect::Nothing };
        if self.window == Window::Whole {
            self.message = Some("the whole run has no other time: 1 2 3 choose a window".into());
            return Effect::Nothing;
        }
        let now = self.until_ns.unwrap_or(page.end_ns);
        let until = now.saturating_add(self.window.step_ns().saturating_mul(tenths));
        let first = self.window.length_ns().unwrap_or(SECOND_NS);
        let until = floor(until, SECOND_NS).max(first);
        self.until_ns = (until < page.end_ns).then_some(until);
        Effect::Read
    }
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
