use super::*;
use crate::live::page::State;
use crate::live::test_pages::{page, row};

fn app(rows: Vec<Row>) -> App {
    let mut app = App { lines_shown: 10, ..App::default() };
    app.take(page(rows, SubjectData::Table));
    app
}

fn three() -> App {
    app(vec![row("db.query", 2_000), row("db.begin", 100), row("render", 900)])
}

fn names(app: &App) -> Vec<&str> {
    (0..app.order.len()).map(|at| app.row_at(at).unwrap().key.name.as_str()).collect()
}

fn type_in(app: &mut App, text: &str) {
    text.chars().for_each(|letter| assert_eq!(app.apply(Action::Type(letter)), Effect::Nothing));
}

#[test]
fn rows_are_sorted_by_any_column_and_turned_around() {
    let mut app = three();
    assert_eq!(names(&app), ["db.query", "render", "db.begin"]);
    app.apply(Action::Reverse);
    assert_eq!(names(&app), ["db.begin", "render", "db.query"]);
    app.apply(Action::SortBy(ColumnName::Name));
    assert_eq!(names(&app), ["db.begin", "db.query", "render"]);
    for _ in ColumnName::ALL {
        app.apply(Action::SortNext);
    }
    assert_eq!(app.sort, ColumnName::Name);
}

#[test]
fn the_selection_stays_with_its_name() {
    let mut app = three();
    app.apply(Action::Move(1));
    assert_eq!(app.selected.as_ref().unwrap().name, "render");
    app.take(page(vec![row("new", 9_000), row("render", 10), row("z", 1)], SubjectData::Table));
    assert_eq!(
        (app.selected.as_ref().unwrap().name.as_str(), app.selected_position()),
        ("render", 1)
    );
    app.take(page(vec![row("new", 9_000)], SubjectData::Table));
    assert_eq!(app.selected.as_ref().unwrap().name, "new");
    app.take(page(Vec::new(), SubjectData::Table));
    assert_eq!((app.selected.clone(), app.apply(Action::Enter)), (None, Effect::Nothing));
}

#[test]
fn moves_stop_at_both_ends() {
    let mut app = three();
    for action in [Action::Move(-5), Action::First, Action::Screen(-1), Action::Move(isize::MIN)] {
        app.apply(action);
        assert_eq!(app.selected_position(), 0);
    }
    for action in [Action::Last, Action::Screen(9), Action::Move(isize::MAX)] {
        app.apply(action);
        assert_eq!(app.selected_position(), 2);
    }
}

#[test]
fn a_filter_is_in_force_while_it_is_typed_and_esc_brings_the_old_one_back() {
    let mut app = three();
    app.apply(Action::Filter);
    type_in(&mut app, "name=db.*");
    assert_eq!(names(&app), ["db.query", "db.begin"]);
    assert_eq!((app.apply(Action::Accept), app.input.clone()), (Effect::Nothing, None));
    app.apply(Action::Filter);
    app.apply(Action::EraseAll);
    type_in(&mut app, "render");
    assert_eq!(names(&app), ["render"]);
    app.apply(Action::Cancel);
    assert_eq!(names(&app), ["db.query", "db.begin"]);
    app.apply(Action::Back);
    assert_eq!(app.order.len(), 3);
}

#[test]
fn a_filter_on_single_spans_is_refused_with_the_term() {
    let mut app = three();
    app.apply(Action::Filter);
    type_in(&mut app, "name=db.* dur>10ms");
    let fault = app.input.as_ref().unwrap().fault.clone().unwrap();
    assert!(fault.contains("`dur>10ms`") && fault.contains("name target"), "{fault}");
    app.apply(Action::Accept);
    assert!(app.input.is_some(), "it stays to be mended");
    assert!(names(&app).is_empty(), "the last that was understood: a name with `dur` in it");
    app.apply(Action::EraseWord);
    assert_eq!(app.input.as_ref().unwrap().fault, None);
    for wrong in ["nmae=x", "(", "level<=info field.a=1", "has:error"] {
        RowFilter::parse(wrong).unwrap_err();
    }
    for right in ["", "level<=info", "target~^shop not name=render", "module=a file=b or x"] {
        RowFilter::parse(right).unwrap();
    }
}

#[test]
fn enter_and_esc_go_in_and_out() {
    let mut app = three();
    assert_eq!(app.apply(Action::Enter), Effect::Read);
    assert!(matches!(&app.ask().subject, Subject::Detail(key) if key.name == "db.query"));
    app.apply(Action::Help);
    assert_eq!(app.view, View::Help);
    app.apply(Action::Back);
    assert!(matches!(app.view, View::Detail(_)));
    assert_eq!((app.apply(Action::Back), app.view.clone()), (Effect::Read, View::Table));
    for (action, view) in [(Action::Open, View::Open), (Action::Flame, View::Flame)] {
        app.apply(action);
        assert_eq!(app.view, view);
        app.apply(action);
        assert_eq!(app.view, View::Table);
    }
}

#[test]
fn time_stands_still_goes_back_and_comes_to_the_present_again() {
    let mut app = three();
    assert_eq!((app.apply(Action::Pause), app.until_ns), (Effect::Read, Some(120 * SECOND_NS)));
    app.apply(Action::Pause);
    assert_eq!(app.until_ns, None);
    app.apply(Action::Step(-1));
    assert_eq!(app.until_ns, Some(114 * SECOND_NS));
    app.apply(Action::Step(-1_000));
    assert_eq!(app.until_ns, Some(60 * SECOND_NS), "a whole window at least");
    app.apply(Action::Step(1_000));
    assert_eq!(app.until_ns, None);
    app.apply(Action::Window(Window::Whole));
    assert_eq!(app.apply(Action::Step(-1)), Effect::Nothing);
    assert!(app.message.is_some());
}

/// Which spans are open is only known of the present, so that one who looks at a moment keeps those.
#[test]
fn what_was_open_when_time_stopped_stays() {
    let all = crate::live::test_pages::open_spans();
    let lines = |count: usize| {
        SubjectData::Open(crate::live::subject_reader::lines(
            false,
            all.iter().take(count).cloned().collect(),
            &[],
        ))
    };
    let open = |app: &App| match &app.page.as_ref().unwrap().subject {
        SubjectData::Open(lines) => lines.len(),
        other => panic!("{other:?}"),
    };
    assert!(all.len() > 2);
    let mut app = three();
    app.apply(Action::Open);
    app.take(page(Vec::new(), lines(2)));
    app.take(page(Vec::new(), lines(3)));
    assert_eq!(open(&app), 3, "time goes on");
    app.apply(Action::Pause);
    app.take(page(Vec::new(), lines(1)));
    app.take(page(Vec::new(), lines(0)));
    assert_eq!(open(&app), 3, "time stands still");
    app.apply(Action::Pause);
    app.take(page(Vec::new(), lines(1)));
    assert_eq!(open(&app), 1);
}

#[test]
fn another_run_begins_at_its_own_end() {
    let mut app = three();
    app.apply(Action::Pause);
    let mut other = page(Vec::new(), SubjectData::Table);
    other.health.run.id += 1;
    other.health.state = State::Recording;
    app.take(other);
    assert_eq!(app.until_ns, None);
    assert_eq!(app.message.as_deref(), Some("a new run has begun"));
}

#[test]
fn a_mark_needs_a_label() {
    let mut app = three();
    app.apply(Action::Mark);
    type_in(&mut app, " ");
    assert_eq!((app.apply(Action::Accept), app.input.clone()), (Effect::Nothing, None));
    app.apply(Action::Mark);
    type_in(&mut app, "deploy 7");
    assert_eq!(app.apply(Action::Accept), Effect::Mark("deploy 7".into()));
}

#[test]
fn no_endless_text_can_be_typed() {
    let mut app = three();
    app.apply(Action::Mark);
    (0..10_000).for_each(|_| {
        app.apply(Action::Type('é'));
    });
    assert!(app.input.as_ref().unwrap().text.len() <= crate::live::input::TYPED_MAX);
}
