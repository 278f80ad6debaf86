//! A game without a window: a cheap system, one that is slow now and then, and one that takes most of a frame.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use bevy_app::{App, TaskPoolPlugin, Update};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{MultiThreadedExecutor, SingleThreadedExecutor};

/// Frames of a run.
pub const UPDATES: u64 = 1_000;

/// Each so manieth frame, the second system is slow.
pub const SLOW_EACH: u64 = 40;

/// How the three systems are called in the field `name` of their spans.
pub const SYSTEMS: [&str; 3] = ["walk", "think", "draw"];

#[derive(Resource, Default)]
struct Frame(u64);

#[derive(Component)]
struct Walker;

/// Who runs the systems: the threads of a pool, as Bevy does by default, or the thread that updates the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// Any thread of the pool, or the one that updates the app.
    MultiThreaded,
    /// The one that updates the app.
    SingleThreaded,
}

/// An app of three systems.
pub fn app(executor: Executor) -> App {
    let mut app = App::new();
    app.add_plugins(TaskPoolPlugin::default()).init_resource::<Frame>();
    app.add_systems(Update, (walk, think, draw));
    app.edit_schedule(Update, |schedule| {
        match executor {
            Executor::MultiThreaded => schedule.set_executor(MultiThreadedExecutor::new()),
            Executor::SingleThreaded => schedule.set_executor(SingleThreadedExecutor::new()),
        };
    });
    app
}

/// Some frames.
pub fn update(app: &mut App, frames: u64) {
    for _ in 0..frames {
        app.world_mut().resource_mut::<Frame>().0 += 1;
        app.update();
    }
}

/// It has commands, as most systems of a game.
fn walk(frame: Res<Frame>, walkers: Query<Entity, With<Walker>>, mut commands: Commands) {
    work(Duration::from_micros(30));
    walkers.iter().for_each(|walker| commands.entity(walker).despawn());
    if frame.0.is_multiple_of(10) {
        commands.spawn(Walker);
    }
}

fn think(frame: Res<Frame>) {
    let is_slow = frame.0.is_multiple_of(SLOW_EACH);
    work(if is_slow { Duration::from_millis(6) } else { Duration::from_micros(150) });
}

fn draw(_: Res<Frame>) {
    work(Duration::from_micros(1_900));
}

fn work(length: Duration) {
    let began = Instant::now();
    while began.elapsed() < length {
        spin_loop();
    }
}
