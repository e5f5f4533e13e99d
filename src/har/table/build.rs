//! The values of one column, gathered until they are written together.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryViewBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Fields, TimeUnit};

use super::columns::{Cells, Column, Kind};

/// The zone of all times.
const ZONE: &str = "UTC";

/// Content from this size on is not copied once more.
const BLOCK: usize = 4 << 10;

/// A column that is being filled.
pub enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Millis(Float64Builder),
    Time(TimestampMicrosecondBuilder),
    Flag(BooleanBuilder),
    Texts(Ends, StringBuilder),
    Fields(Ends, StringBuilder, StringBuilder),
    Bytes(BinaryViewBuilder),
}

/// Where lists end among the values of all lists.
pub struct Ends(Vec<i32>);

impl Ends {
    fn new() -> Self {
        Self(vec![0])
    }

    /// Ends a list of `len` values. Batches are too small to overflow.
    fn push(&mut self, len: usize) {
        let last = self.0.last().copied().unwrap_or_default();
        self.0.push(last.saturating_add(i32::try_from(len).unwrap_or(i32::MAX)));
    }

    fn take(&mut self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.0, vec![0])))
    }
}

/// The field of a column in the schema.
pub fn field(column: &Column) -> Field {
    let kind = match column.kind {
        Kind::Text(_) => DataType::Utf8,
        Kind::Integer(_) => DataType::Int64,
        Kind::Millis(_) => DataType::Float64,
        Kind::Time(_) => DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into())),
        Kind::Flag(_) => DataType::Boolean,
        Kind::Texts(_) => DataType::List(element(DataType::Utf8)),
        Kind::Fields(_) => DataType::List(element(DataType::Struct(pair()))),
        Kind::Bytes(_) => DataType::BinaryView,
    };
    Field::new(column.name, kind, !column.is_always)
}

/// Items of lists have the name that the Parquet format gives them.
fn element(kind: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", kind, false))
}

fn pair() -> Fields {
    Fields::from(vec![Field::new("name", DataType::Utf8, false), Field::new("value", DataType::Utf8, false)])
}

impl Builder {
    /// An empty column.
    pub fn new(column: &Column) -> Self {
        match column.kind {
            Kind::Text(_) => Builder::Text(StringBuilder::new()),
            Kind::Integer(_) => Builder::Integer(Int64Builder::new()),
            Kind::Millis(_) => Builder::Millis(Float64Builder::new()),
            Kind::Time(_) => Builder::Time(TimestampMicrosecondBuilder::new().with_timezone(ZONE)),
            Kind::Flag(_) => Builder::Flag(BooleanBuilder::new()),
            Kind::Texts(_) => Builder::Texts(Ends::new(), StringBuilder::new()),
            Kind::Fields(_) => Builder::Fields(Ends::new(), StringBuilder::new(), StringBuilder::new()),
            Kind::Bytes(_) => Builder::Bytes(BinaryViewBuilder::new()),
        }
    }

    /// Takes the value of one entry.
    pub fn push<'c>(&mut self, column: &Column, cells: &'c Cells<'c>) -> Result<(), ArrowError> {
        match (self, &column.kind) {
            (Builder::Text(builder), Kind::Text(value)) => builder.append_option(value(cells)),
            (Builder::Integer(builder), Kind::Integer(value)) => builder.append_option(value(cells)),
            (Builder::Millis(builder), Kind::Millis(micros)) => {
                builder.append_option(micros(cells).map(|micros| micros as f64 / 1000.0));
            }
            (Builder::Time(builder), Kind::Time(micros)) => builder.append_value(micros(cells)),
            (Builder::Flag(builder), Kind::Flag(value)) => builder.append_option(value(cells)),
            (Builder::Texts(ends, texts), Kind::Texts(values)) => {
                let values = values(cells);
                ends.push(values.len());
                values.iter().for_each(|text| texts.append_value(text));
            }
            (Builder::Fields(ends, names, values), Kind::Fields(fields)) => {
                let fields = fields(cells);
                ends.push(fields.len());
                for (name, value) in fields {
                    names.append_value(name);
                    values.append_value(value);
                }
            }
            (Builder::Bytes(builder), Kind::Bytes(bytes)) => match bytes(cells) {
                Some(bytes) if bytes.len() < BLOCK => builder.try_append_value(bytes.as_slice())?,
                Some(bytes) => {
                    let block = builder.append_block(bytes.clone());
                    builder.try_append_view(block, 0, u32::try_from(bytes.len()).unwrap_or(u32::MAX))?;
                }
                None => builder.append_null(),
            },
            _ => return Err(ArrowError::SchemaError(format!("{} has another type", column.name))),
        }
        Ok(())
    }

    /// The values so far; the column is empty afterwards.
    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Integer(builder) => Arc::new(builder.finish()),
            Builder::Millis(builder) => Arc::new(builder.finish()),
            Builder::Time(builder) => Arc::new(builder.finish()),
            Builder::Flag(builder) => Arc::new(builder.finish()),
            Builder::Bytes(builder) => Arc::new(builder.finish()),
            Builder::Texts(ends, texts) => {
                let texts = Arc::new(texts.finish());
                Arc::new(ListArray::try_new(element(DataType::Utf8), ends.take(), texts, None)?)
            }
            Builder::Fields(ends, names, values) => {
                let pairs: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(values.finish())];
                let pairs = Arc::new(StructArray::try_new(pair(), pairs, None)?);
                let item = element(DataType::Struct(pair()));
                Arc::new(ListArray::try_new(item, ends.take(), pairs, None)?)
            }
        })
    }
}
