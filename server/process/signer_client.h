/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys as a worker has them: numbers, for which the signer signs. The library calls back in the middle of a handshake and cannot be told to
 * come again, so the thread waits: usually for less time than signing takes, at most SIGNER_WAIT_MS, and as long as an answer is
 * missing not a second time. Then the handshake fails; all else goes on. For the successor of a signer that has died, which is there some ms
 * later, a thread that has an end of its own waits as well: as long, and of its time altogether no more than a tenth. */
#ifndef WEIR_PROCESS_SIGNER_CLIENT_H
#define WEIR_PROCESS_SIGNER_CLIENT_H

#include "io/tls_keys.h"

/* How long a key is waited for: a file may lie in a slow place (REGISTRY_OPENING_MS). Shorter once the worker serves: it has other things to
 * do, and asks again later. */
#define SIGNER_LOAD_MS  15000
#define SIGNER_AGAIN_MS 3000
#define SIGNER_WAIT_MS  2000  /* for a signature */
#define SIGNER_STUCK_MS 10000 /* without an answer: then it has to be replaced */

struct counters;
struct signer_client;

/* The ends stay the caller's, blocking; the first is for whoever has none of his own. `stuck` is called, by any thread and not more often
 * than every SIGNER_STUCK_MS, when the signer answers no more. */
struct signer_client *signer_client_new(
	const int *ends, unsigned count, void (*stuck)(void *context), void *context);
/* No key that it gave out is in use any more. */
void signer_client_free(struct signer_client *client);
/* Keys may have been kept, several of a file among them: until all are asked for the signer is told for which certificates they are. */
void signer_client_choose(struct signer_client *client);
/* Asks for keys. */
struct tls_keys *signer_client_keys(struct signer_client *client);
/* The key of this path will be asked for when there is one. Only before all keys were asked for. */
void signer_client_name(struct signer_client *client, struct slice path);
/* All keys were asked for or named: from now on only these are read again, and threads may sign. 0, or -1 after a message. */
int signer_client_go(struct signer_client *client);
/* The signer is told of keys that nobody uses any more; otherwise it is when the next one is asked for. Never waits. */
void signer_client_forget(struct signer_client *client);
/* The calling thread has this end for itself from now on; failures are counted there. */
void signer_client_thread(struct signer_client *client, unsigned end, struct counters *counters);
/* The signer was started again: `fd` is about to take the place of an end. */
void signer_client_renewed(void *client, unsigned end, int fd);

#endif
