//! Single values that are not what they were. No constraint minds any of them.

use crate::detection::fault::Fault;

/// A change of one column in the row 1500, or in the one that is named.
const fn change(name: &'static str, sql: &'static str) -> Fault {
    Fault::sql(name, sql, &["fingerprints"], &["shop.readings"])
}

const fn document(name: &'static str, sql: &'static str) -> Fault {
    Fault::sql(name, sql, &["fingerprints"], &["shop.documents"])
}

pub const FAULTS: &[Fault] = &[
    change(
        "one byte of a text is changed",
        "UPDATE shop.readings SET label = 'Label 1500' WHERE id = 1500",
    ),
    document(
        "one byte of a text outside of its row (TOAST) is changed",
        "UPDATE shop.documents SET body = overlay(body placing 'x' from 20000) WHERE id = 30",
    ),
    document(
        "one bit of a compressed bytea (TOAST) is changed",
        "UPDATE shop.documents SET scan = set_bit(scan, 99999, 1 - get_bit(scan, 99999)) WHERE id = 30",
    ),
    document(
        "a long text is cut off",
        "UPDATE shop.documents SET body = left(body, 8192) WHERE id = 30",
    ),
    change(
        "a number loses its sign (numeric)",
        "UPDATE shop.readings SET amount = -amount WHERE id = 1500",
    ),
    change(
        "a number loses its sign (double precision)",
        "UPDATE shop.readings SET ratio = -ratio WHERE id = 1500",
    ),
    change(
        "a number loses its sign (bigint)",
        "UPDATE shop.readings SET counter = -counter WHERE id = 1500",
    ),
    change(
        "a number loses its sign (within jsonb)",
        "UPDATE shop.readings SET doc = jsonb_set(doc, '{n}', '-1500') WHERE id = 1500",
    ),
    change(
        "a number loses its sign (money)",
        "UPDATE shop.readings SET price = price * -1 WHERE id = 1500",
    ),
    change(
        "the high half of a bigint changes",
        "UPDATE shop.readings SET counter = counter + (1::bigint << 32) WHERE id = 1500",
    ),
    change(
        "the scale of a numeric changes (1650.00 and 1650.0)",
        "UPDATE shop.readings SET amount = 1650.0 WHERE id = 1500",
    ),
    change(
        "the last digit of a double precision changes",
        "UPDATE shop.readings SET ratio = 214.28571428571430 WHERE id = 1500",
    ),
    change(
        "a number becomes NaN",
        "UPDATE shop.readings SET ratio = 'NaN' WHERE id = 1500",
    ),
    change(
        "null becomes an empty string",
        "UPDATE shop.readings SET remark = '' WHERE id = 1500",
    ),
    change(
        "an empty string becomes null",
        "UPDATE shop.readings SET remark = NULL WHERE id = 1501",
    ),
    change(
        "two rows swap a value",
        "UPDATE shop.readings r SET label = o.label FROM shop.readings o
         WHERE (r.id, o.id) IN ((1500, 1501), (1501, 1500))",
    ),
    Fault::sql(
        "two rows of a table without a key swap a value",
        "UPDATE shop.visits v SET visitor = CASE WHEN v.ctid = '(0,3)' THEN 10 ELSE 3 END
         WHERE v.ctid IN ('(0,3)', '(0,10)')",
        &["fingerprints"],
        &["shop.visits"],
    ),
    change(
        "two columns of a row swap their values",
        "UPDATE shop.readings SET label = remark, remark = label WHERE id = 1502",
    ),
    change(
        "all values of two columns are swapped",
        "UPDATE shop.readings SET taken = \"local\" AT TIME ZONE 'UTC' + interval '1 s',
            \"local\" = \"local\" + interval '1 s'",
    ),
    change(
        "a timestamp is off by 1 µs",
        "UPDATE shop.readings SET taken = taken + interval '1 us' WHERE id = 1500",
    ),
    change(
        "all timestamps are off by an hour",
        "UPDATE shop.readings SET taken = taken + interval '1 h'",
    ),
    change(
        "a date is off by a day",
        "UPDATE shop.readings SET day = day + 1 WHERE id = 1500",
    ),
    change(
        "an interval is written otherwise (1 day, 24 hours)",
        "UPDATE shop.readings SET span = interval '1 day 1 hour' WHERE id = 1500",
    ),
    change(
        "a truth value is turned",
        "UPDATE shop.readings SET active = NOT active WHERE id = 1500",
    ),
    change(
        "a text gets a space at its end",
        "UPDATE shop.readings SET label = label || ' ' WHERE id = 1500",
    ),
    change(
        "a letter is written otherwise in Unicode",
        "UPDATE shop.readings SET label = E'caf\\u0065\\u0301' WHERE id = 1500",
    ),
    change(
        "a padded text changes",
        "UPDATE shop.readings SET code = 'c15OO' WHERE id = 1500",
    ),
    change(
        "a key within jsonb is lost",
        "UPDATE shop.readings SET doc = doc - 'note' WHERE id = 1500",
    ),
    change(
        "a number within json becomes a string",
        "UPDATE shop.readings SET raw = '{\"n\" : \"1500\"}' WHERE id = 1500",
    ),
    change(
        "the elements of an array change places",
        "UPDATE shop.readings SET tags = ARRAY['b', 'a1500'] WHERE id = 1500",
    ),
    change(
        "an array counts from another number",
        "UPDATE shop.readings SET tags = '[0:1]={a1500,b}' WHERE id = 1500",
    ),
    change(
        "the upper bound of a range becomes a part of it",
        "UPDATE shop.readings SET valid = tstzrange(lower(valid), upper(valid), '[]') WHERE id = 1500",
    ),
    change(
        "a bit string changes",
        "UPDATE shop.readings SET flags = ~ flags WHERE id = 1500",
    ),
    change(
        "an enum value changes",
        "UPDATE shop.readings SET feeling = 'meh' WHERE id = 1500",
    ),
    change(
        "a field of a composite value becomes null",
        "UPDATE shop.readings SET place.zip = NULL WHERE id = 1500",
    ),
    change(
        "a network address changes its mask",
        "UPDATE shop.readings SET address = set_masklen(address, 24) WHERE id = 1500",
    ),
    change(
        "a digit of a UUID changes",
        "UPDATE shop.readings SET token = overlay(token::text placing '0' from 36)::uuid WHERE id = 1501",
    ),
    change(
        "a point moves",
        "UPDATE shop.readings SET spot = point(spot[1], spot[0]) WHERE id = 1500",
    ),
    change(
        "an XML document changes",
        "UPDATE shop.readings SET page = '<p>1500 </p>' WHERE id = 1500",
    ),
    change(
        "a text search vector loses a position",
        "UPDATE shop.readings SET words = strip(words) WHERE id = 1500",
    ),
    change(
        "a bytea gets a zero byte at its end",
        "UPDATE shop.readings SET blob = blob || '\\x00' WHERE id = 1500",
    ),
    Fault::sql(
        "a stored generated value is not what its expression gives",
        "UPDATE pg_attribute SET attgenerated = ''
            WHERE attrelid = 'shop.prices'::regclass AND attname = 'gross';
         UPDATE shop.prices SET gross = 1 WHERE article = 'article 7';
         UPDATE pg_attribute SET attgenerated = 's'
            WHERE attrelid = 'shop.prices'::regclass AND attname = 'gross'",
        &["fingerprints"],
        &["shop.prices"],
    ),
];
