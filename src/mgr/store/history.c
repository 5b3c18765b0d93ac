/* SPDX-License-Identifier: MIT */
/*
 * The history of monitoring, see history.h.
 *
 * A bucket is the second at which ten seconds or a minute begin.
 */
#include "mgr/store/history.h"

#include "base/fd.h"
#include "base/log.h"
#include "mgr/store/db.h"
#include "mgr/store/history_pack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MINUTE_S   60u
#define WEEK_S	   (HISTORY_MINUTES * MINUTE_S)
#define PAGE_BYTES 4096u
#define SHRINK_MAX 8 /* times that room is made for one transaction */

static const char *const names[] = {
	[HIST_RSS] = "rss",
	[HIST_BALLOON] = "balloon",
	[HIST_GUEST_USED] = "guest_used",
	[HIST_CPU_NS] = "cpu_ns",
	[HIST_STEAL_NS] = "steal_ns",
	[HIST_THROTTLED_NS] = "throttled_ns",
	[HIST_BLK_READS] = "blk_reads",
	[HIST_BLK_WRITES] = "blk_writes",
	[HIST_BLK_READ_BYTES] = "blk_read_bytes",
	[HIST_BLK_WRITE_BYTES] = "blk_write_bytes",
	[HIST_NET_RX_PACKETS] = "net_rx_packets",
	[HIST_NET_TX_PACKETS] = "net_tx_packets",
	[HIST_NET_RX_BYTES] = "net_rx_bytes",
	[HIST_NET_TX_BYTES] = "net_tx_bytes",
};
static_assert(ARRAY_SIZE(names) == HIST_COUNT, "a name for each");

/* The order of the fields is the file's: a new field is a new version. */
static const char *const migrations[] = {
	"CREATE TABLE series("
	" num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seen INTEGER NOT NULL) STRICT;"
	"CREATE TABLE seconds("
	" bucket INTEGER NOT NULL, series INTEGER NOT NULL, data BLOB NOT NULL,"
	" PRIMARY KEY(bucket, series)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE minutes("
	" bucket INTEGER NOT NULL, series INTEGER NOT NULL, data BLOB NOT NULL,"
	" PRIMARY KEY(bucket, series)) STRICT, WITHOUT ROWID;",
};

static const struct db_schema schema = {
	.what = "history",
	.advice = "move it away",
	.application_id = 0x486f6c48, /* "HolH" */
	.migrations = migrations,
	.version = ARRAY_SIZE(migrations),
	.pragmas = "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-512; PRAGMA temp_store=MEMORY;"
		   "PRAGMA trusted_schema=OFF; PRAGMA wal_autocheckpoint=256;"
		   "PRAGMA journal_size_limit=1048576;",
};

/* What of a series is not written yet. */
struct series {
	char id[HISTORY_ID_MAX + 1];
	unsigned n;
	struct history_point p[HISTORY_CHUNK_S];
};

struct history {
	struct db db; /* closed after a failure, then opened anew by the next write */
	char *path;
	const struct clock *clock;
	uint64_t max_bytes;
	sqlite3_stmt *begin, *commit, *rollback, *find, *add, *seen, *put_seconds, *put_minute;
	sqlite3_stmt *first, *minute, *get_seconds, *get_minute;
	uint64_t bucket; /* of what is in memory */
	uint64_t rolled; /* minutes up to this one are rolled up */
	struct series **series;
	size_t n_series, room;
	size_t hint; /* series come in the same order each second */
};

const char *history_field_name(enum history_field f)
{
	return names[f];
}

static uint64_t floor_to(uint64_t s, unsigned step)
{
	return s - s % step;
}

static int prepare(struct history *h, struct err *e)
{
	const struct {
		sqlite3_stmt **to;
		const char *sql;
	} all[] = {
		{ &h->begin, "BEGIN IMMEDIATE" },
		{ &h->commit, "COMMIT" },
		{ &h->rollback, "ROLLBACK" },
		{ &h->find, "SELECT num FROM series WHERE id = ?1" },
		{ &h->add, "INSERT INTO series(id, seen) VALUES(?1, ?2)" },
		{ &h->seen, "UPDATE series SET seen = ?2 WHERE num = ?1" },
		/* A chunk that was cut by a restart is gone on with. */
		{ &h->put_seconds,
		  "INSERT INTO seconds(bucket, series, data) VALUES(?1, ?2, ?3)"
		  " ON CONFLICT DO UPDATE SET data = CAST(data || excluded.data AS BLOB)" },
		{ &h->put_minute,
		  "INSERT OR REPLACE INTO minutes(bucket, series, data) VALUES(?1, ?2, ?3)" },
		{ &h->first, "SELECT min(bucket) FROM seconds WHERE bucket >= ?1" },
		{ &h->minute, "SELECT series, bucket, data FROM seconds"
			      " WHERE bucket >= ?1 AND bucket < ?1 + 60 ORDER BY series, bucket" },
		{ &h->get_seconds, "SELECT data FROM seconds WHERE bucket = ?1 AND series = ?2" },
		{ &h->get_minute, "SELECT data FROM minutes WHERE bucket = ?1 AND series = ?2" },
	};
	int ret = 0;

	for (size_t i = 0; !ret && i < ARRAY_SIZE(all); i++)
		ret = db_prepare(&h->db, all[i].to, all[i].sql, e);
	return ret;
}

static int open_file(struct history *h, struct err *e)
{
	char sql[64];
	int64_t last = 0;
	int ret;

	ret = db_open(&h->db, h->path, &schema, e);
	if (ret)
		return ret;
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%" PRIu64, h->max_bytes / PAGE_BYTES);
	ret = db_exec(&h->db, sql, e);
	if (!ret)
		ret = prepare(h, e);
	if (!ret)
		ret = db_number(&h->db, "SELECT coalesce(max(bucket), 0) FROM minutes", &last, e);
	if (ret) {
		db_close(&h->db);
		return ret;
	}
	h->rolled = (uint64_t)last;
	return 0;
}

static int move_aside(struct history *h, const char *why, struct err *e)
{
	static const char *const ends[] = { "", "-wal" };
	struct stat st;

	if (!lstat(h->path, &st) && !S_ISREG(st.st_mode))
		return err_set(e, -EBADMSG, "%.200s: not a regular file", h->path);
	log_line(LOG_WARN, "history", "%s; it is moved to %s.bad and begun anew", why, h->path);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		MEM_AUTO char *from = NULL, *to = NULL;

		if (asprintf(&from, "%s%s", h->path, ends[i]) < 0)
			from = NULL;
		if (asprintf(&to, "%s.bad%s", h->path, ends[i]) < 0)
			to = NULL;
		if (!from || !to)
			return err_set(e, -ENOMEM, "%.200s: no memory", h->path);
		if (rename(from, to) && errno != ENOENT)
			return err_set(e, -errno, "%.200s: cannot move it away: %s", from,
				       strerror(errno));
	}
	return 0;
}

/* Open, or where it is corrupt begin anew. */
static int open_or_begin(struct history *h, struct err *e)
{
	struct err why = { 0 };
	int ret = open_file(h, &why);

	if (ret == -EBADMSG) {
		ret = move_aside(h, why.msg, e);
		return ret ? ret : open_file(h, e);
	}
	return ret ? err_set(e, ret, "%s", why.msg) : 0;
}

/* --- writing ------------------------------------------------------------------------------ */

/* The number of a series, which it gets here where it is new (@seen not 0). 0: not known. */
static int series_num(struct history *h, const char *id, uint64_t seen, int64_t *num, struct err *e)
{
	int rc;

	db_bind_text(h->find, 1, id);
	rc = sqlite3_step(h->find);
	*num = rc == SQLITE_ROW ? sqlite3_column_int64(h->find, 0) : 0;
	sqlite3_reset(h->find);
	if (rc == SQLITE_DONE && seen) {
		db_bind_text(h->add, 1, id);
		sqlite3_bind_int64(h->add, 2, (int64_t)seen);
		rc = db_run(h->add);
		*num = rc ? 0 : sqlite3_last_insert_rowid(h->db.sql);
	}
	if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
		return 0;
	return db_fail(&h->db, rc, e);
}

static int put_row(struct history *h, sqlite3_stmt *q, uint64_t bucket, int64_t num,
		   const uint8_t *buf, size_t len, struct err *e)
{
	int rc;

	sqlite3_bind_int64(q, 1, (int64_t)bucket);
	sqlite3_bind_int64(q, 2, num);
	sqlite3_bind_blob(q, 3, buf, (int)len, SQLITE_STATIC);
	rc = db_run(q);
	return rc ? db_fail(&h->db, rc, e) : 0;
}

static int write_pending(struct history *h, struct err *e)
{
	uint8_t buf[PACK_CHUNK_MAX];
	int64_t num;
	int ret = 0;

	for (size_t i = 0; !ret && i < h->n_series; i++) {
		const struct series *s = h->series[i];

		if (!s->n)
			continue;
		ret = series_num(h, s->id, h->bucket, &num, e);
		if (!ret)
			ret = put_row(h, h->put_seconds, h->bucket, num, buf,
				      pack_chunk(buf, h->bucket * CLOCK_NS_PER_SEC, s->p, s->n), e);
	}
	return ret;
}

static int put_minute(struct history *h, uint64_t minute, int64_t num, const struct rollup *r,
		      struct err *e)
{
	uint8_t buf[PACK_MINUTE_MAX];
	struct history_point p;
	int rc;

	if (!r->n)
		return 0;
	rollup_done(r, minute * CLOCK_NS_PER_SEC, &p);
	sqlite3_bind_int64(h->seen, 1, num);
	sqlite3_bind_int64(h->seen, 2, (int64_t)minute);
	rc = db_run(h->seen);
	if (rc)
		return db_fail(&h->db, rc, e);
	return put_row(h, h->put_minute, minute, num, buf, pack_minute(buf, &p), e);
}

static int roll_minute(struct history *h, uint64_t minute, struct err *e)
{
	struct rollup r = { 0 };
	int64_t num = 0;
	int rc = SQLITE_DONE, ret = 0;

	sqlite3_bind_int64(h->minute, 1, (int64_t)minute);
	while (!ret && (rc = sqlite3_step(h->minute)) == SQLITE_ROW) {
		struct unpack u;

		if (sqlite3_column_int64(h->minute, 0) != num) {
			ret = put_minute(h, minute, num, &r, e);
			r = (struct rollup) { 0 };
			num = sqlite3_column_int64(h->minute, 0);
		}
		unpack_init(&u, (uint64_t)sqlite3_column_int64(h->minute, 1) * CLOCK_NS_PER_SEC,
			    sqlite3_column_blob(h->minute, 2),
			    (size_t)sqlite3_column_bytes(h->minute, 2));
		while (unpack_next(&u))
			rollup_add(&r, &u.at);
	}
	if (!ret && rc != SQLITE_DONE)
		ret = db_fail(&h->db, rc, e);
	sqlite3_reset(h->minute);
	return ret ? ret : put_minute(h, minute, num, &r, e);
}

/* Every minute that was over when @now began and is not rolled up; the last is *@rolled. */
static int roll_up(struct history *h, uint64_t now, uint64_t *rolled, struct err *e)
{
	const uint64_t current = floor_to(now, MINUTE_S);
	uint64_t next;
	int rc, ret = 0;

	/* The clock went back: those minutes are rolled up again, with what is new in them. */
	if (*rolled >= current)
		*rolled = current - MINUTE_S;
	while (!ret) {
		sqlite3_bind_int64(h->first, 1, (int64_t)(*rolled + MINUTE_S));
		rc = sqlite3_step(h->first);
		next = rc == SQLITE_ROW && sqlite3_column_type(h->first, 0) != SQLITE_NULL
			       ? floor_to((uint64_t)sqlite3_column_int64(h->first, 0), MINUTE_S)
			       : UINT64_MAX;
		sqlite3_reset(h->first);
		if (rc != SQLITE_ROW)
			return db_fail(&h->db, rc, e);
		if (next >= current)
			break;
		ret = roll_minute(h, next, e);
		*rolled = next;
	}
	return ret;
}

static int expire(struct history *h, uint64_t now, struct err *e)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "DELETE FROM seconds WHERE bucket < %" PRIu64 ";"
		 "DELETE FROM minutes WHERE bucket < %" PRIu64 ";"
		 "DELETE FROM series WHERE seen < %" PRIu64,
		 now - HISTORY_SECONDS, now - WEEK_S, now - WEEK_S - HISTORY_SECONDS);
	return db_exec(&h->db, sql, e);
}

/* One transaction: what is in memory, and at a minute's end its roll-up and what is too old. */
static int write_once(struct history *h, uint64_t now, struct err *e)
{
	uint64_t rolled = h->rolled;
	int rc, ret;

	rc = db_run(h->begin);
	if (rc)
		return db_fail(&h->db, rc, e);
	ret = write_pending(h, e);
	if (!ret && floor_to(now, MINUTE_S) != floor_to(h->bucket, MINUTE_S)) {
		ret = roll_up(h, now, &rolled, e);
		if (!ret)
			ret = expire(h, now, e);
	}
	if (!ret) {
		rc = db_run(h->commit);
		if (rc)
			ret = db_fail(&h->db, rc, e);
	}
	if (ret) {
		if (!sqlite3_get_autocommit(h->db.sql))
			db_run(h->rollback);
		return ret;
	}
	h->rolled = rolled;
	return 0;
}

/* The table that has more of its time gives up the oldest eighth of it. */
static int shrink(struct history *h, struct err *e)
{
	int64_t seconds = 0, minutes = 0;
	int ret;

	ret = db_number(&h->db, "SELECT coalesce(max(bucket) - min(bucket), 0) FROM seconds",
			&seconds, e);
	if (!ret)
		ret = db_number(&h->db,
				"SELECT coalesce(max(bucket) - min(bucket), 0) FROM minutes",
				&minutes, e);
	if (ret)
		return ret;
	if (minutes * HISTORY_SECONDS > seconds * WEEK_S)
		return db_exec(&h->db,
			       "DELETE FROM minutes WHERE bucket <= (SELECT min(bucket) +"
			       " (max(bucket) - min(bucket)) / 8 FROM minutes)",
			       e);
	return db_exec(&h->db,
		       "DELETE FROM seconds WHERE bucket <= (SELECT min(bucket) +"
		       " (max(bucket) - min(bucket)) / 8 FROM seconds)",
		       e);
}

/* Whether a write failed at the file's bound and not at the host's. */
static bool at_bound(int ret)
{
	return ret == -ENOSPC && errno != ENOSPC && errno != EDQUOT && errno != EFBIG;
}

/* What is in memory is written or lost; series that had no sample are forgotten. */
static void drop_pending(struct history *h)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->n_series; i++) {
		struct series *s = h->series[i];

		if (s->n) {
			s->n = 0;
			h->series[kept++] = s;
		} else {
			free(s);
		}
	}
	h->n_series = kept;
	h->hint = 0;
}

/* @now: the second that ends what is in memory. */
static int flush(struct history *h, uint64_t now, struct err *e)
{
	struct err why = { 0 };
	int ret = h->db.sql ? 0 : open_or_begin(h, &why);

	errno = 0;
	if (!ret)
		ret = write_once(h, now, &why);
	for (int i = 0; at_bound(ret) && i < SHRINK_MAX; i++) {
		ret = shrink(h, &why);
		if (!ret)
			ret = write_once(h, now, &why);
	}
	if (ret == -EBADMSG && h->db.sql) {
		db_close(&h->db);
		ret = move_aside(h, why.msg, &why);
		if (!ret)
			ret = open_file(h, &why);
		if (!ret)
			ret = write_once(h, now, &why);
	}
	drop_pending(h);
	return ret ? err_set(e, ret, "%s", why.msg) : 0;
}

/* --- the seam ----------------------------------------------------------------------------- */

static struct series *find_pending(struct history *h, const char *id)
{
	for (size_t i = 0; i < h->n_series; i++) {
		size_t at = (h->hint + i) % h->n_series;

		if (!strcmp(h->series[at]->id, id)) {
			h->hint = at + 1;
			return h->series[at];
		}
	}
	return NULL;
}

static int add_series(struct history *h, const char *id, struct series **out, struct err *e)
{
	struct series *s;

	if (h->n_series == h->room) {
		size_t room = h->room ? h->room * 2 : 16;
		struct series **more = reallocarray(h->series, room, sizeof(struct series *));

		if (!more)
			return err_set(e, -ENOMEM, "no memory for the history");
		h->series = more;
		h->room = room;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "no memory for the history");
	memcpy(s->id, id, strlen(id) + 1);
	h->series[h->n_series++] = s;
	*out = s;
	return 0;
}

static int add_one(struct history *h, const struct history_sample *in, struct err *e)
{
	struct history_point p = { .at_ns = in->at_ns - in->at_ns % CLOCK_NS_PER_MS };
	const uint64_t second = in->at_ns / CLOCK_NS_PER_SEC;
	const uint64_t bucket = floor_to(second, HISTORY_CHUNK_S);
	struct series *s;
	int ret = 0;

	if (!*in->id || strlen(in->id) > HISTORY_ID_MAX || second < WEEK_S * 2)
		return err_set(e, -EINVAL, "a sample of '%.80s' has no good id or time", in->id);
	if (bucket != h->bucket) {
		if (h->n_series)
			ret = flush(h, second, e);
		h->bucket = bucket;
	}
	memcpy(p.v, in->v, sizeof(p.v));
	memcpy(p.max, in->v, sizeof(p.max));
	s = find_pending(h, in->id);
	if (!s) {
		int failed = add_series(h, in->id, &s, e);

		if (failed)
			return failed;
	}
	/* Of one second the last sample counts; so ten are room enough. */
	if (s->n && second <= s->p[s->n - 1].at_ns / CLOCK_NS_PER_SEC)
		s->n--;
	s->p[s->n++] = p;
	return ret;
}

int history_add(struct history *h, const struct history_sample *s, size_t n, struct err *e)
{
	int ret = 0;

	for (size_t i = 0; i < n; i++) {
		struct err why = { 0 };
		int one = add_one(h, &s[i], &why);

		if (one && !ret)
			ret = err_set(e, one, "%s", why.msg);
	}
	return ret;
}

static int give(const struct history_point *p, uint64_t from_ns, uint64_t to_ns, history_fn fn,
		void *ctx)
{
	return p->at_ns >= from_ns && p->at_ns < to_ns ? fn(ctx, p) : 0;
}

/* The points of one row; the statement is reset here. */
static int give_row(struct history *h, enum history_step step, uint64_t bucket, int64_t num,
		    uint64_t from_ns, uint64_t to_ns, history_fn fn, void *ctx, struct err *e)
{
	sqlite3_stmt *q = step == HISTORY_1S ? h->get_seconds : h->get_minute;
	struct history_point p = { .at_ns = bucket * CLOCK_NS_PER_SEC };
	struct unpack u;
	const void *blob;
	int rc, ret = 0;
	size_t len;

	sqlite3_bind_int64(q, 1, (int64_t)bucket);
	sqlite3_bind_int64(q, 2, num);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW) {
		blob = sqlite3_column_blob(q, 0);
		len = (size_t)sqlite3_column_bytes(q, 0);
		unpack_init(&u, p.at_ns, blob, len);
		if (step == HISTORY_1S)
			while (!ret && unpack_next(&u))
				ret = give(&u.at, from_ns, to_ns, fn, ctx);
		else if (unpack_minute(&p, blob, len))
			ret = give(&p, from_ns, to_ns, fn, ctx);
	} else if (rc != SQLITE_DONE) {
		ret = db_fail(&h->db, rc, e);
	}
	sqlite3_reset(q);
	return ret;
}

int history_query(struct history *h, const char *id, enum history_step step, uint64_t from_ns,
		  uint64_t to_ns, history_fn fn, void *ctx, struct err *e)
{
	const uint64_t now = h->clock->wall_ns(h->clock) / CLOCK_NS_PER_SEC;
	const unsigned width = step == HISTORY_1S ? HISTORY_CHUNK_S : MINUTE_S;
	const unsigned keep = step == HISTORY_1S ? HISTORY_SECONDS : WEEK_S;
	uint64_t first = MAX(from_ns / CLOCK_NS_PER_SEC, now > keep ? now - keep : 0);
	uint64_t end = MIN(to_ns / CLOCK_NS_PER_SEC + 1, now + 1);
	const struct series *s;
	int64_t num = 0;
	int ret = 0;

	if (h->db.sql)
		ret = series_num(h, id, 0, &num, e);
	for (uint64_t b = floor_to(first, width); !ret && num && b < end; b += width)
		ret = give_row(h, step, b, num, from_ns, to_ns, fn, ctx, e);
	s = !ret && step == HISTORY_1S ? find_pending(h, id) : NULL;
	for (unsigned i = 0; !ret && s && i < s->n; i++)
		ret = give(&s->p[i], from_ns, to_ns, fn, ctx);
	return ret;
}

int history_open(struct history **out, const char *path, const struct clock *clock,
		 uint64_t max_bytes, struct err *e)
{
	struct history *h = calloc(1, sizeof(*h));
	int ret;

	if (!h)
		return err_set(e, -ENOMEM, "%.200s: no memory for the history", path);
	h->clock = clock;
	h->max_bytes = MAX(max_bytes, (uint64_t)HISTORY_BYTES_MIN);
	h->path = strdup(path);
	ret = h->path ? open_or_begin(h, e)
		      : err_set(e, -ENOMEM, "%.200s: no memory for the history", path);
	if (ret) {
		free(h->path);
		free(h);
		return ret;
	}
	*out = h;
	return 0;
}

void history_close(struct history *h)
{
	struct err e = { 0 };

	if (!h)
		return;
	if (h->n_series && flush(h, h->bucket, &e))
		log_line(LOG_WARN, "history", "the last seconds are lost: %s", e.msg);
	for (size_t i = 0; i < h->n_series; i++)
		free(h->series[i]);
	free(h->series);
	db_close(&h->db);
	free(h->path);
	free(h);
}
