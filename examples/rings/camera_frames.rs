//! Frames of a camera between processes, in shared memory: each is written where it lies, read where it lies, and never copied.
//! One who looks at it is killed; the camera goes on.
//!
//!     cargo run --release --example camera_frames

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use spandrel_ring::between::{As, Options, ReadError, Ring};

const WIDTH: usize = 1_280;
const HEIGHT: usize = 720;
const FRAME_BYTES: usize = WIDTH * HEIGHT * 3;
const FRAMES: u64 = 48;
const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> Options {
    // Slots are borrowed where they lie, by whoever writes and reads them.
    Options::new(FRAME_BYTES, 4).in_place()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [role, path] if role == "viewer" => look_at_frames(Path::new(path), None),
        [role, path, after] if role == "viewer" => {
            look_at_frames(Path::new(path), after.parse().ok())
        }
        _ => camera(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the ring, starts two viewers, and films.
fn camera() -> Result<(), Box<dyn std::error::Error>> {
    let folder = folder()?;
    // Its own folder is made with it, and is this user's alone.
    let path = folder.path().join("camera").join("frames.ring");
    let ring = options().create(&path)?;
    let viewer = |arguments: &[&str]| -> std::io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("viewer").arg(&path).args(arguments).stdin(Stdio::null()).spawn()
    };
    let mut good = viewer(&[])?;
    let mut bad = viewer(&["5"])?; // dies with the fifth frame in hand
    // Who holds writers back misses nothing, so the camera waits for both to be there.
    while viewers(&ring) < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut writer = ring.writer()?;
    for number in 0..FRAMES {
        // Held back by the viewer that is dead, it finds that out and goes on.
        let mut claim = writer.claim(PATIENCE)?;
        let frame = claim.as_mut_slice().ok_or("the ring's slots are not in place")?;
        frame.fill(number as u8);
        frame[..8].copy_from_slice(&number.to_le_bytes());
        claim.publish()?;
    }
    drop(writer); // the end of the film
    let counts = ring.counts();
    let (good, bad) = (good.wait()?, bad.wait()?);
    println!(
        "camera: {FRAMES} frames of {} kB; one viewer died: {}",
        FRAME_BYTES / 1_000,
        !bad.success()
    );
    println!("found dead: {}", counts.dead_participants);
    if !good.success() || bad.success() || counts.dead_participants != 1 {
        return Err("it went otherwise than it should".into());
    }
    Ok(())
}

fn viewers(ring: &Ring) -> usize {
    let is_viewer = |is: &As| matches!(is, As::HoldingReader { .. });
    ring.participants().iter().filter(|participant| is_viewer(&participant.is)).count()
}

/// Looks at each frame; dies when it has one in hand, if it is told to.
fn look_at_frames(path: &Path, dies_at: Option<u64>) -> Result<(), Box<dyn std::error::Error>> {
    let ring = options().open(path)?;
    let mut reader = ring.holding_reader()?;
    let mut seen = 0;
    loop {
        match reader.peek(PATIENCE) {
            Ok(frame) => {
                let pixels: &[u8] = &frame;
                let number = u64::from_le_bytes(pixels[..8].try_into()?);
                let is_whole = pixels[8..].iter().all(|pixel| *pixel == number as u8);
                if number != seen || !is_whole {
                    return Err(format!(
                        "frame {number} where {seen} should be, whole: {is_whole}"
                    )
                    .into());
                }
                seen += 1;
                if dies_at == Some(seen) {
                    std::process::abort();
                }
            }
            Err(ReadError::Ended) => break,
            Err(why) => return Err(why.into()),
        }
    }
    println!("viewer: {seen} frames, each whole and in its place");
    if seen == FRAMES { Ok(()) } else { Err("frames are missing".into()) }
}

/// In shared memory, where there is any.
fn folder() -> std::io::Result<tempfile::TempDir> {
    let shared = PathBuf::from("/dev/shm");
    match shared.is_dir() {
        true => tempfile::tempdir_in(shared),
        false => tempfile::tempdir(),
    }
}
