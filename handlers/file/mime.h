/* SPDX-License-Identifier: BSD-2-Clause */
/* Media types by a name's extension: the web's own table above the system's mime.types. */
#ifndef WEIR_FILE_MIME_H
#define WEIR_FILE_MIME_H

#include <stdbool.h>

#include "base/arena.h"

struct mime; /* a table; never changed once made */

/* Makes the table in the arena: the built-in one, and below it what the text of a mime.types file says (may be empty). */
struct mime *mime_new(struct arena *arena, struct slice system);
/* Likewise, with the system's own file; a missing or unreadable one is as good as an empty one. */
struct mime *mime_system(struct arena *arena);
/* The type for a name or path by what follows its last dot, in any case: "text/html". { NULL, 0 }: not known. */
struct slice mime_find(const struct mime *mime, struct slice name);
/* Is it a type whose charset parameter says how its octets are to be read (RFC 6838, 4.2.1)? */
bool mime_is_text(struct slice type);
/* What may be believed of a type that was told from content, which anybody may have written: never an active one (HTML, SVG, XML, scripts),
 * which would run in the site's name; any kind of text is text/plain. `text`: the content reads as plain text. */
struct slice mime_passive(struct slice type, bool text);

#endif
