//! Connections to a server: a few, each used by one at a time, made anew when one fails.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tokio_postgres::{
    Client, NoTls, Statement,
    error::SqlState,
    types::{ToSql, Type},
};

use super::{WAIT, slow, url::Secured};
use crate::store::database::{DatabaseError, Row, Trouble, Value};

/// The connections of one store.
pub(super) struct Connections {
    to: Secured,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
}

impl Connections {
    pub(super) fn new(to: Secured) -> Self {
        Self {
            to,
            idle: Mutex::default(),
            places: Semaphore::new(CONNECTIONS),
        }
    }

    /// Takes an idle connection, or makes one.
    pub(super) async fn take(&self) -> Result<Lease<'_>, DatabaseError> {
        let place = timeout(WAIT, self.places.acquire()).await.map_err(slow)?;
        let place = place.map_err(|error| DatabaseError::new(Trouble::Lasting, error))?;
        let connection = match self.idle() {
            Some(connection) => connection,
            None => timeout(WAIT, Connection::open(&self.to))
                .await
                .map_err(slow)??,
        };
        Ok(Lease {
            connection,
            of: self,
            _place: place,
        })
    }

    /// Returns one that the server did not close meanwhile.
    fn idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.client.is_closed());
        idle.pop()
    }
}

/// A connection that somebody uses. It is closed, and what it did is rolled back, unless it is
/// given back.
pub(super) struct Lease<'a> {
    pub(super) connection: Connection,
    of: &'a Connections,
    _place: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Lets others use it: no transaction is open.
    pub(super) fn give_back(self) {
        let idle = &self.of.idle;
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(self.connection);
    }
}

/// A connection, and what was prepared on it.
pub(super) struct Connection {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl Connection {
    async fn open(to: &Secured) -> Result<Self, DatabaseError> {
        let client = match &to.tls {
            Some(tls) => {
                let (client, connection) = to.config.connect(tls.clone()).await?;
                // How it ends is told to whoever waits for an answer.
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = to.config.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
        };
        client.batch_execute(SESSION).await?;
        Ok(Self {
            client,
            statements: HashMap::new(),
        })
    }

    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), DatabaseError> {
        Ok(self.client.batch_execute(sql).await?)
    }

    pub(super) async fn execute(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<u64, DatabaseError> {
        let statement = self.prepared(sql).await?;
        let parameters = parameters(&statement, values);
        let changed = self.client.execute_raw(&statement, parameters).await?;
        Ok(changed)
    }

    pub(super) async fn query(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<Row>, DatabaseError> {
        let statement = self.prepared(sql).await?;
        let parameters = parameters(&statement, values);
        let parameters: Vec<_> = parameters.iter().map(AsRef::as_ref).collect();
        let rows = self.client.query(&statement, &parameters).await?;
        rows.iter().map(read_row).collect()
    }

    /// Reads the next rows of a cursor. What it was prepared for is another at each.
    pub(super) async fn fetch(&mut self, cursor: &str) -> Result<Vec<Row>, DatabaseError> {
        let fetch = format!("FETCH 1000 FROM {cursor}");
        let rows = self.client.query_typed(&fetch, &[]).await?;
        rows.iter().map(read_row).collect()
    }

    async fn prepared(&mut self, sql: &str) -> Result<Statement, DatabaseError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

type Parameter<'a> = Box<dyn ToSql + Sync + 'a>;

/// Returns values as the library takes them; one that is absent has a type, too.
fn parameters<'a>(statement: &Statement, values: &'a [Value]) -> Vec<Parameter<'a>> {
    let typed = statement.params().iter().zip(values);
    typed
        .map(|(kind, value)| -> Parameter<'a> {
            match value {
                Value::Null if *kind == Type::BYTEA => Box::new(None::<&[u8]>),
                Value::Null if *kind == Type::TEXT => Box::new(None::<&str>),
                Value::Null => Box::new(None::<i64>),
                Value::Integer(value) => Box::new(*value),
                Value::Text(value) => Box::new(value.as_str()),
                Value::Blob(value) => Box::new(value.as_slice()),
            }
        })
        .collect()
}

fn read_row(row: &tokio_postgres::Row) -> Result<Row, DatabaseError> {
    let values = row.columns().iter().enumerate().map(|(at, column)| {
        let kind = column.type_();
        Ok(if *kind == Type::BYTEA {
            row.try_get::<_, Option<_>>(at)?
                .map_or(Value::Null, Value::Blob)
        } else if *kind == Type::TEXT {
            row.try_get::<_, Option<_>>(at)?
                .map_or(Value::Null, Value::Text)
        } else {
            row.try_get::<_, Option<_>>(at)?
                .map_or(Value::Null, Value::Integer)
        })
    });
    values
        .collect::<Result<_, tokio_postgres::Error>>()
        .map(Row)
        .map_err(DatabaseError::from)
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        let trouble = match error.code() {
            Some(state) if is_passing(state) => Trouble::Passing,
            Some(_) => Trouble::Lasting,
            // Not said by the server: there was no connection, or there is none any more.
            None => Trouble::Passing,
        };
        Self::new(trouble, error)
    }
}

/// Tells whether the server may do it soon: it starts, ends, fails over, is full or too busy.
fn is_passing(state: &SqlState) -> bool {
    // Connection, rollback, resources, an operator's intervention, the system under it.
    let classes = ["08", "40", "53", "57", "58"];
    classes.iter().any(|class| state.code().starts_with(class))
        || [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(state)
}

/// One writes, the others read.
const CONNECTIONS: usize = 8;
/// The server gives up before we do, and lets nobody hold the lock for whom we do not answer. What
/// it acknowledges is on its disk, whatever its operator set.
const SESSION: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s';
     SET idle_in_transaction_session_timeout = '10s';
     SELECT set_config('synchronous_commit', 'on', false)
     WHERE current_setting('synchronous_commit') IN ('off', 'local')";
/// How long an idle connection is silent before it is looked whether the server is there.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(60);
