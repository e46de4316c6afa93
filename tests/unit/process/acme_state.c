/* SPDX-License-Identifier: BSD-2-Clause */
/* The folder of the state, who works in it, and the hook. */
#include "acme_world.h"
#include "base/check.h"
#include "process/acme_hook.h"

/* --- The folder. --- */

static void the_folder_is_ours_alone(void **state)
{
	struct world *w = *state;
	struct stat st;
	assert_int_equal(fstat(w->state, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(fstatat(w->state, "challenge", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(acme_state_make(w->path, (uid_t)-1, (gid_t)-1), 0); /* once more */
	assert_int_equal(chmod(w->path, 0755), 0);
	assert_int_equal(acme_state_make(w->path, (uid_t)-1, (gid_t)-1), -1);
	assert_true(world_logged(w, "chmod 700"));
	assert_int_equal(chmod(w->path, 0700), 0);
	assert_int_equal(acme_state_make(w->path, geteuid() + 1, (gid_t)-1), -1);
	assert_true(world_logged(w, "chown -R"));
	assert_int_equal(acme_state_make("/proc/none/x", (uid_t)-1, (gid_t)-1), -1);
	assert_true(world_logged(w, "cannot make the folder"));
}

static void records_are_of_one_thing(void **state)
{
	struct world *w = *state;
	struct acme_record record = {.about = 7, .failures = 3, .last = 100, .next = 200}, back;
	snprintf(record.text, sizeof(record.text), "what went wrong");
	assert_int_equal(acme_record_write(w->state, "a.test", &record), 0);
	acme_record_read(w->state, "a.test", 7, &back);
	assert_int_equal(back.failures, 3);
	assert_int_equal(back.next, 200);
	assert_string_equal(back.text, "what went wrong");
	acme_record_read(w->state, "a.test", 8, &back);
	assert_int_equal(back.failures, 0);
	assert_int_equal(back.about, 8);
	acme_record_read(w->state, "a.test", 0, &back);
	assert_int_equal(back.about, 7);
	acme_record_read(w->state, "b.test", 7, &back);
	assert_int_equal(back.failures, 0);
	static const char *const broken[] = {"", "about", "about 7\nfailures x\n", "\0\0\0\0"};
	char path[160];
	snprintf(path, sizeof(path), "%s/weir/a.test.state", w->path);
	for (size_t i = 0; i < COUNT_OF(broken); i++) {
		world_write(path, broken[i], 0600);
		acme_record_read(w->state, "a.test", 7, &back);
		assert_int_equal(back.failures, 0);
	}
}

static void what_was_put_aside_goes(void **state)
{
	struct world *w = *state;
	char path[160];
	static const char *const names[] = {
		"cert-100.pem", "cert-300.pem", "cert-200.pem", "cert-x.pem"};
	world_certificate(w, "a.test", NULL, 0, 0);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(path, sizeof(path), "%s/a.test/%s", w->path, names[i]);
		world_write(path, "x", 0600);
	}
	acme_state_prune(w->state, "a.test");
	static const bool stays[] = {false, true, false, true};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(path, sizeof(path), "%s/a.test/%s", w->path, names[i]);
		assert_int_equal(access(path, F_OK) == 0, stays[i]);
	}
	assert_int_equal(faccessat(w->state, "a.test/cert.pem", F_OK, 0), 0);
}

/* --- One at a time. --- */

static void one_at_a_time(void **state)
{
	struct world *w = *state;
	struct acme_lock one, two;
	assert_int_equal(acme_lock_take(&one, w->state), ACME_LOCKED);
	assert_int_equal(acme_lock_take(&two, w->state), ACME_BUSY);
	acme_lock_touch(&one);
	acme_lock_release(&one);
	assert_int_equal(acme_lock_take(&two, w->state), ACME_LOCKED);
	acme_lock_release(&two);
	assert_int_equal(faccessat(w->state, "weir/lease", F_OK, 0), -1);
}

/* Whose process ended without a word, on this machine. */
static void a_dead_owner(void **state)
{
	struct world *w = *state;
	struct acme_lock lock;
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(acme_lock_take(&lock, w->state) == ACME_LOCKED ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(faccessat(w->state, "weir/lease", F_OK, 0), 0);
	assert_int_equal(acme_lock_take(&lock, w->state), ACME_LOCKED);
	acme_lock_release(&lock);
}

/* Locks do not reach other machines; the lease does, until it is abandoned. */
static void another_machine(void **state)
{
	struct world *w = *state;
	struct acme_lock lock;
	char path[160], text[200];
	snprintf(path, sizeof(path), "%s/weir/lease", w->path);
	world_write(path, "01234567-89ab-cdef-0123-456789abcdef elsewhere 17\n", 0600);
	assert_int_equal(acme_lock_take(&lock, w->state), ACME_BUSY);
	assert_string_equal(world_read(path, text, sizeof(text)),
		"01234567-89ab-cdef-0123-456789abcdef elsewhere 17\n");
	struct timespec old[2] = {{time(NULL) - 600, 0}, {time(NULL) - 600, 0}};
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(acme_lock_take(&lock, w->state), ACME_LOCKED);
	assert_null(strstr(world_read(path, text, sizeof(text)), "elsewhere"));
	acme_lock_release(&lock);
	/* nothing is left lying about */
	assert_int_equal(faccessat(w->state, "weir/lease", F_OK, 0), -1);
}

/* --- The hook. --- */

#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
#define PROOF TOKEN ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"

static int run_hook(const struct world *w, const char *method, const char *kind, const char *token,
	const char *proof)
{
	char folder[160];
	char *arguments[] = {(char *)(uintptr_t)method, (char *)(uintptr_t)kind,
		(char *)(uintptr_t) "a.test", (char *)(uintptr_t)token, (char *)(uintptr_t)proof,
		NULL};
	snprintf(folder, sizeof(folder), "%s/challenge", w->path);
	setenv(ACME_HOOK_FOLDER, folder, 1);
	int result = acme_hook(5, arguments);
	unsetenv(ACME_HOOK_FOLDER);
	return result;
}

static void the_hook_writes_and_removes(void **state)
{
	struct world *w = *state;
	char path[200], text[200];
	snprintf(path, sizeof(path), "%s/challenge/" TOKEN, w->path);
	assert_int_equal(run_hook(w, "begin", "dns-01", TOKEN, PROOF), 1);
	assert_int_equal(run_hook(w, "begin", "tls-alpn-01", TOKEN, PROOF), 1);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(run_hook(w, "begin", "http-01", TOKEN, PROOF), 0);
	assert_string_equal(world_read(path, text, sizeof(text)), PROOF);
	assert_int_equal(run_hook(w, "failed", "http-01", TOKEN, PROOF), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(run_hook(w, "done", "http-01", TOKEN, PROOF), 0);
	run_hook(w, "begin", "http-01", TOKEN, PROOF);
	acme_state_sweep(w->state);
	assert_int_equal(access(path, F_OK), -1);
}

static void the_hook_refuses_what_is_no_token(void **state)
{
	struct world *w = *state;
	char long_token[140], long_proof[180];
	memset(long_token, 'a', 129);
	long_token[129] = 0;
	snprintf(long_proof, sizeof(long_proof), "%s.b", long_token);
	static const char *const rows[][2] = {
		{"../x", "../x.y"},
		{"/etc/passwd", "/etc/passwd.y"},
		{"", ".y"},
		{".", "..y"},
		{"a b", "a b.y"},
		{"a\n", "a\n.y"},
		{"a%2e", "a%2e.y"},
		{TOKEN, "other.y"},
		{TOKEN, TOKEN},
		{TOKEN, TOKEN "."},
		{TOKEN, TOKEN ".<script>"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(run_hook(w, "begin", "http-01", rows[i][0], rows[i][1]), 1);
	assert_int_equal(run_hook(w, "begin", "http-01", long_token, long_proof), 1);
	char *few[] = {(char *)(uintptr_t) "begin", NULL};
	assert_int_equal(acme_hook(1, few), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(the_folder_is_ours_alone),
		WORLD_TEST(records_are_of_one_thing),
		WORLD_TEST(what_was_put_aside_goes),
		WORLD_TEST(one_at_a_time),
		WORLD_TEST(a_dead_owner),
		WORLD_TEST(another_machine),
		WORLD_TEST(the_hook_writes_and_removes),
		WORLD_TEST(the_hook_refuses_what_is_no_token),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
