use std::io::Read;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use super::*;

/// What the next test starts in a terminal of its own: it does not return.
#[test]
#[ignore = "panics; the next test runs it where that can be watched"]
fn panics_on_the_screen() {
    let mut screen = Screen::new().unwrap();
    screen.terminal.draw(|frame| frame.render_widget("something", frame.area())).unwrap();
    panic!("a panic while the screen is ours");
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_told_there() {
    let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    let name = "live::terminal::tests::panics_on_the_screen";
    command.args([name, "--exact", "--ignored", "--nocapture"]);
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (mut output, mut bytes) = (Vec::new(), [0; 4096]);
    // The end of the other side is an error on some systems.
    while let Ok(read @ 1..) = reader.read(&mut bytes) {
        output.extend_from_slice(&bytes[..read]);
    }
    assert!(!child.wait().unwrap().success());
    let text = String::from_utf8_lossy(&output);
    let taken = text.find("\x1b[?1049h").unwrap_or_else(|| panic!("never taken: {text:?}"));
    let given = text.find("\x1b[?1049l").unwrap_or_else(|| panic!("never given back: {text:?}"));
    let told = text.find("a panic while the screen is ours").unwrap();
    assert!(taken < given && given < told, "{text:?}");
    let mut parser = vt100::Parser::new(24, 80, 0);
    parser.process(&output);
    assert!(!parser.screen().alternate_screen() && !parser.screen().hide_cursor());
}
