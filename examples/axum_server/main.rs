//! A web server: each request is a span with its route and status, the work inside are spans below
//! it. It asks itself a few times, shows the slowest requests from the database, and ends.
//!
//!     cargo run --example axum_server

use std::error::Error;
use std::time::Duration;

use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, serve};
use rusqlite::Connection;
use spandrel::Profiler;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::{Span, error, field, instrument};
use tracing_subscriber::prelude::*;

#[instrument(skip_all, fields(path = request.uri().path(), status = field::Empty))]
async fn http_request(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    Span::current().record("status", response.status().as_u16());
    response
}

#[instrument]
async fn cart(Path(user): Path<u32>) -> Result<String, StatusCode> {
    let items = load_items(user).await.map_err(|()| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(format!("user {user} has {items} items\n"))
}

#[instrument]
async fn load_items(user: u32) -> Result<u32, ()> {
    tokio::time::sleep(Duration::from_millis(u64::from(user))).await;
    if user == 13 {
        error!("the shelf is gone"); // the span's status becomes `error`
        return Err(());
    }
    Ok(user * 2)
}

/// A client as small as can be.
async fn ask(address: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = "axum_server.db";
    let profiler = Profiler::builder().database(database).build()?;
    tracing_subscriber::registry().with(profiler.layer()).init();

    let routes = Router::new()
        .route("/", get(async || "try /cart/7\n"))
        .route("/cart/{user}", get(cart))
        .layer(middleware::from_fn(http_request));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { serve(listener, routes).await });

    for path in ["/", "/cart/7", "/cart/13", "/cart/21", "/cart/4", "/nowhere"] {
        println!("GET {path:10} {}", ask(address, path).await?);
    }
    server.abort();
    let report = profiler.close()?;

    println!("\nthe slowest requests:");
    let conn = Connection::open(database)?;
    let mut slow = conn.prepare(
        "SELECT printf('%8.3f ms  %3d  %-10s %s', duration_ms, fields ->> 'status',
                       fields ->> 'path', coalesce('<- ' || (SELECT message FROM event WHERE
                       span_id IN (SELECT id FROM span WHERE root_id = slow.id)), ''))
         FROM slow WHERE name = 'http_request' AND run_id = (SELECT max(id) FROM run) LIMIT 3",
    )?;
    for line in slow.query_map([], |row| row.get::<_, String>(0))? {
        println!("{}", line?);
    }
    println!("\n{report}");
    println!("look at it: spandrel slow --db {database}");
    Ok(())
}
