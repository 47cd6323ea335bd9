-- :rows small tables, a quarter of them with a key and an index.
select format('create table t%s (id int %s, v text, n numeric)', n,
    case when n % 4 = 0 then 'primary key' else 'not null' end)
from generate_series(1, :rows) n \gexec
select format('insert into t%s select i, md5(i::text), i / 7.0 from generate_series(1, 10) i', n)
from generate_series(1, :rows) n \gexec
