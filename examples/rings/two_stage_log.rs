//! A log in two stages: an entry goes to the replica once it is in the journal, and is acknowledged once it is in both.
//!
//!     cargo run --release --example two_stage_log

use std::fs::File;
use std::io::{BufWriter, Write};
use std::thread;
use std::time::Duration;

use spandrel_ring::broadcast::{self, Park};

/// What is ordered. Slots keep their memory, so that publishing allocates nothing once all were used.
#[derive(Debug, Default, Clone)]
struct Order {
    number: u64,
    text: String,
}

const ORDERS: u64 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let patience = Duration::from_secs(60);

    let mut builder = broadcast::ring::<Order>(1_024).wait(Park::default());
    let journal = builder.stage("journal", &[]);
    let replica = builder.stage("replica", &[journal]); // sees what the journal is done with
    let answer = builder.stage("answer", &[journal, replica]);
    let (mut producer, ring) = builder.single().build()?;
    let mut journals = ring.consumer_of(journal)?;
    let mut replicas = ring.consumer_of(replica)?;
    let mut answers = ring.consumer_of(answer)?;

    let (journal_path, replica_path) =
        (folder.path().join("journal.log"), folder.path().join("replica.log"));
    let outcome = thread::scope(|scope| {
        let writes_journal = scope.spawn(|| -> std::io::Result<u64> {
            let mut file = BufWriter::new(File::create(&journal_path)?);
            let mut syncs = 0;
            while let Ok(batch) = journals.read(patience) {
                for order in batch.iter() {
                    writeln!(file, "{} {}", order.number, order.text)?;
                }
                // One `fdatasync` for as many orders as have come meanwhile.
                file.flush()?;
                file.get_ref().sync_data()?;
                syncs += 1;
                batch.release(); // now the replica sees them
            }
            Ok(syncs)
        });
        let writes_replica = scope.spawn(|| -> std::io::Result<()> {
            let mut file = BufWriter::new(File::create(&replica_path)?);
            while let Ok(batch) = replicas.read(patience) {
                for order in batch.iter() {
                    writeln!(file, "{} {}", order.number, order.text)?;
                }
                file.flush()?;
            }
            Ok(())
        });
        let acknowledges = scope.spawn(move || {
            let mut acknowledged = 0;
            while let Ok(batch) = answers.read(patience) {
                acknowledged = batch.iter().last().map_or(acknowledged, |order| order.number);
            }
            acknowledged
        });
        let takes_orders = scope.spawn(move || {
            for number in 1..=ORDERS {
                let Ok(mut claim) = producer.claim(1, patience) else { return false };
                let order = claim.slot_mut(0);
                order.number = number;
                order.text.clear(); // its memory is used again
                order.text.push_str(if number % 2 == 0 { "buy" } else { "sell" });
                claim.publish();
            }
            true
        });
        let all_taken = takes_orders.join().unwrap_or(false);
        let syncs = writes_journal.join().map_err(|_| "the journal panicked")??;
        writes_replica.join().map_err(|_| "the replica panicked")??;
        let acknowledged = acknowledges.join().unwrap_or(0);
        Ok::<_, Box<dyn std::error::Error>>((all_taken, syncs, acknowledged))
    });
    let (all_taken, syncs, acknowledged) = outcome?;

    let written = std::fs::read_to_string(&journal_path)?;
    let is_same = written == std::fs::read_to_string(&replica_path)?;
    println!("{} orders in the journal, by {syncs} syncs of the disk", written.lines().count());
    println!("the replica is the same: {is_same}; acknowledged up to number {acknowledged}");
    if !all_taken || !is_same || acknowledged != ORDERS || written.lines().count() as u64 != ORDERS
    {
        return Err("something is missing".into());
    }
    Ok(())
}
