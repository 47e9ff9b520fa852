/* Memory for one Lua state: small blocks by size class from chunks that are freed together with the state. Lua says the
 * size of what it frees, so blocks carry no header and a free one costs a push on a list. */
#ifndef LUNATION_HOST_SLAB_H
#define LUNATION_HOST_SLAB_H

#include <stddef.h>

enum { SLAB_STEP = 16, SLAB_LARGEST = 512, SLAB_CLASSES = SLAB_LARGEST / SLAB_STEP + 1 };

struct slab {
	void *free[SLAB_CLASSES];
	char *at, *end;
	struct slab_chunk *chunks;
};

/* As realloc, with the old size; NULL when there is no memory. Shrinking never fails. */
void *slab_resize(struct slab *s, void *ptr, size_t before, size_t size);
void slab_free(struct slab *s, void *ptr, size_t size);
void slab_close(struct slab *s);

#endif
