-- The event log on PostgreSQL: topics, partitions, records, groups. One schema, used by every service through shared/log alone.

-- The identity of this log; with a topic's id it names what an offset belongs to.
CREATE TABLE {schema}.cluster (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    cluster_id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO {schema}.cluster DEFAULT VALUES;

-- retention NULL: compacted.
CREATE TABLE {schema}.topic (
    name               text PRIMARY KEY CHECK (octet_length(name) <= 63),
    topic_id           uuid NOT NULL DEFAULT gen_random_uuid(),
    partitions         integer NOT NULL CHECK (partitions > 0),
    retention          interval,
    min_compaction_lag interval NOT NULL,
    delete_retention   interval NOT NULL
);

-- Whoever publishes holds this row's lock from taking the offsets to the end of the transaction: that is what makes offsets
-- become visible in order. A plain sequence would let offset 8 be seen while 7 is not committed yet, and 7 would be skipped.
CREATE TABLE {schema}.partition (
    partition_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic        text NOT NULL REFERENCES {schema}.topic (name) ON DELETE CASCADE,
    partition    integer NOT NULL,
    start_offset bigint NOT NULL DEFAULT 0,
    next_offset  bigint NOT NULL DEFAULT 0,
    last_append  timestamptz NOT NULL DEFAULT '-infinity',
    cleaned_to   bigint NOT NULL DEFAULT 0,
    UNIQUE (topic, partition)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- headers: JSON array of [name, value as Latin-1]. delete_after: when a tombstone that compaction has seen may go.
CREATE TABLE {schema}.record (
    partition_id  integer NOT NULL REFERENCES {schema}.partition ON DELETE CASCADE,
    record_offset bigint NOT NULL,
    append_time   timestamptz NOT NULL,
    key           bytea,
    value         bytea,
    headers       text NOT NULL,
    delete_after  timestamptz,
    PRIMARY KEY (partition_id, record_offset)
);
CREATE INDEX record_tombstones ON {schema}.record (partition_id, delete_after) WHERE value IS NULL;

-- One owner per group and partition, by lease on this database's clock; a new owner raises the epoch, which refuses the old one.
CREATE TABLE {schema}.ownership (
    group_name       text NOT NULL,
    partition_id     integer NOT NULL REFERENCES {schema}.partition ON DELETE CASCADE,
    member_id        text,
    epoch            bigint NOT NULL DEFAULT 0,
    lease_until      timestamptz NOT NULL DEFAULT '-infinity',
    committed_offset bigint,
    metadata         text NOT NULL DEFAULT '' CHECK (octet_length(metadata) <= 4096),
    PRIMARY KEY (group_name, partition_id)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX ownership_partition ON {schema}.ownership (partition_id);

-- Publishers with a transactional id: the newest epoch alone may publish.
CREATE TABLE {schema}.publisher (
    transactional_id text PRIMARY KEY,
    epoch            bigint NOT NULL
);

-- Append records, each to its partition, in order; the last statement of its transaction. Returns each partition's first offset.
-- Errors: TK001 fenced publisher, TK002 unknown partition.
CREATE FUNCTION {schema}.append(
    in_partitions integer[], in_keys bytea[], in_values bytea[], in_headers text[], in_publisher text, in_epoch bigint
) RETURNS TABLE (out_partition integer, out_first bigint) LANGUAGE plpgsql AS $$
DECLARE
    one record;
    moment timestamptz;
    topics text[] := '{}';
    topic_name text;
BEGIN
    IF in_publisher IS NOT NULL THEN
        PERFORM 1 FROM {schema}.publisher WHERE transactional_id = in_publisher AND epoch = in_epoch FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'fenced' USING ERRCODE = 'TK001';
        END IF;
    END IF;
    -- Sorted, so that two transactions never wait for one another.
    FOR one IN SELECT p AS id, count(*) AS n FROM unnest(in_partitions) AS p GROUP BY p ORDER BY p LOOP
        UPDATE {schema}.partition
        SET next_offset = next_offset + one.n, last_append = greatest(last_append, clock_timestamp())
        WHERE partition_id = one.id
        RETURNING next_offset - one.n, last_append, topic INTO out_first, moment, topic_name;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'unknown partition' USING ERRCODE = 'TK002';
        END IF;
        INSERT INTO {schema}.record (partition_id, record_offset, append_time, key, value, headers)
        SELECT one.id, out_first + row_number() OVER (ORDER BY r.position) - 1, moment, r.key, r.value, r.headers
        FROM unnest(in_partitions, in_keys, in_values, in_headers) WITH ORDINALITY AS r (id, key, value, headers, position)
        WHERE r.id = one.id;
        out_partition := one.id;
        topics := topics || topic_name;
        RETURN NEXT;
    END LOOP;
    PERFORM pg_notify(t, '') FROM (SELECT DISTINCT unnest(topics) AS t) AS named;
END $$;

-- The first offset appended at or after a moment; the end where there is none. Append times never fall within a partition,
-- so a binary search over the primary key finds it, and no index on time has to be kept.
CREATE FUNCTION {schema}.first_offset_at(in_partition integer, in_moment timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint;
    high bigint;
    middle bigint;
    found_offset bigint;
    found_time timestamptz;
BEGIN
    SELECT start_offset, next_offset INTO low, high FROM {schema}.partition WHERE partition_id = in_partition;
    WHILE low < high LOOP
        middle := low + (high - low) / 2;
        SELECT record_offset, append_time INTO found_offset, found_time FROM {schema}.record
        WHERE partition_id = in_partition AND record_offset >= middle AND record_offset < high
        ORDER BY record_offset LIMIT 1;
        IF NOT FOUND OR found_time >= in_moment THEN
            high := middle;
        ELSE
            low := found_offset + 1;
        END IF;
    END LOOP;
    -- `low` may stand in a hole: the next record is the answer.
    SELECT record_offset INTO found_offset FROM {schema}.record
    WHERE partition_id = in_partition AND record_offset >= low ORDER BY record_offset LIMIT 1;
    IF FOUND THEN
        RETURN found_offset;
    END IF;
    RETURN (SELECT next_offset FROM {schema}.partition WHERE partition_id = in_partition);
END $$;

-- Become the owner of what is free, what has run out, and, with in_takeover, of what this member's earlier process held.
CREATE FUNCTION {schema}.acquire(
    in_group text, in_member text, in_partitions integer[], in_lease interval, in_takeover boolean
) RETURNS TABLE (out_partition integer, out_epoch bigint, out_committed bigint, out_start bigint) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.ownership (group_name, partition_id)
    SELECT in_group, p FROM unnest(in_partitions) AS p
    WHERE NOT EXISTS (SELECT 1 FROM {schema}.ownership WHERE group_name = in_group AND partition_id = p)
    ON CONFLICT DO NOTHING;
    PERFORM 1 FROM {schema}.ownership
    WHERE group_name = in_group AND partition_id = ANY (in_partitions) ORDER BY partition_id FOR UPDATE;
    RETURN QUERY
    UPDATE {schema}.ownership AS o
    SET member_id = in_member, epoch = o.epoch + 1, lease_until = clock_timestamp() + in_lease
    FROM {schema}.partition AS p
    WHERE o.group_name = in_group AND o.partition_id = ANY (in_partitions) AND p.partition_id = o.partition_id
        AND (o.member_id IS NULL OR o.lease_until < clock_timestamp() OR (in_takeover AND o.member_id = in_member))
    RETURNING o.partition_id, o.epoch, o.committed_offset, p.start_offset;
END $$;

-- Renew the leases still held under these epochs; returns those partitions. in_lease of zero gives them up.
CREATE FUNCTION {schema}.renew(
    in_group text, in_partitions integer[], in_epochs bigint[], in_lease interval
) RETURNS SETOF integer LANGUAGE plpgsql AS $$
BEGIN
    -- A lease that a crash of the server forgets was simply not renewed: no need to wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM 1 FROM {schema}.ownership
    WHERE group_name = in_group AND partition_id = ANY (in_partitions) ORDER BY partition_id FOR UPDATE;
    RETURN QUERY
    UPDATE {schema}.ownership AS o
    SET lease_until = clock_timestamp() + in_lease,
        member_id = CASE WHEN in_lease > interval '0' THEN o.member_id END
    FROM unnest(in_partitions, in_epochs) AS held (id, held_epoch)
    WHERE o.group_name = in_group AND o.partition_id = held.id AND o.epoch = held.held_epoch
    RETURNING o.partition_id;
END $$;

-- Commit positions, all or none. Error TK003: another owner has taken one of the partitions.
CREATE FUNCTION {schema}.commit_positions(
    in_group text, in_partitions integer[], in_epochs bigint[], in_offsets bigint[], in_metadata text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    done integer;
BEGIN
    -- A crash of the server may forget the last commits: their records come again, as after a crash just before the commit.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM 1 FROM {schema}.ownership
    WHERE group_name = in_group AND partition_id = ANY (in_partitions) ORDER BY partition_id FOR UPDATE;
    UPDATE {schema}.ownership AS o
    SET committed_offset = held.position, metadata = held.metadata
    FROM unnest(in_partitions, in_epochs, in_offsets, in_metadata) AS held (id, held_epoch, position, metadata)
    WHERE o.group_name = in_group AND o.partition_id = held.id AND o.epoch = held.held_epoch;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> cardinality(in_partitions) THEN
        RAISE EXCEPTION 'another owner' USING ERRCODE = 'TK003';
    END IF;
END $$;

-- The next records of several partitions, and where each stands, in one snapshot. A row for each partition that is not at its
-- end: its records (fairly shared out of in_limit), or none. A partition that is gone gives a row with out_next NULL.
CREATE FUNCTION {schema}.read_next(in_partitions integer[], in_positions bigint[], in_limit integer)
RETURNS TABLE (
    out_partition integer, out_start bigint, out_next bigint, out_share bigint,
    record_offset bigint, append_time timestamptz, key bytea, value bytea, headers text
) LANGUAGE sql STABLE AS $$
    WITH wanted AS (
        SELECT w.id, w.position, p.start_offset, p.next_offset,
            greatest(1, in_limit / greatest(1, count(*) FILTER (WHERE p.next_offset > w.position) OVER ())) AS share
        FROM unnest(in_partitions, in_positions) AS w (id, position)
        LEFT JOIN {schema}.partition AS p ON p.partition_id = w.id
    )
    SELECT w.id, w.start_offset, w.next_offset, w.share, r.record_offset, r.append_time, r.key, r.value, r.headers
    FROM wanted AS w
    LEFT JOIN LATERAL (
        SELECT r.record_offset, r.append_time, r.key, r.value, r.headers FROM {schema}.record AS r
        WHERE r.partition_id = w.id AND r.record_offset >= w.position AND w.next_offset > w.position
        ORDER BY r.record_offset LIMIT w.share
    ) AS r ON true
    WHERE w.next_offset IS DISTINCT FROM w.position
    ORDER BY w.id, r.record_offset
$$;
