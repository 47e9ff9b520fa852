/* Small blocks by size class (see slab.h); larger ones are malloc's. */
#include "host/slab.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 * 1024 };

struct slab_chunk {
	struct slab_chunk *next;
	char padding[SLAB_STEP - sizeof(struct slab_chunk *)];
};

/* Under a sanitizer every block is malloc's, so that it can watch each of them. */
#ifdef __SANITIZE_ADDRESS__
enum { SMALL = 0 };
#else
enum { SMALL = SLAB_LARGEST };
#endif

static size_t class_of(size_t size)
{
	return (size + SLAB_STEP - 1) / SLAB_STEP;
}

static void *carve(struct slab *s, size_t class)
{
	size_t size = class * SLAB_STEP;
	if ((size_t)(s->end - s->at) < size) {
		struct slab_chunk *chunk = malloc(CHUNK);
		if (!chunk)
			return NULL;
		/* what is left of the chunk before is a free block of its own */
		size_t left = (size_t)(s->end - s->at) / SLAB_STEP;
		if (left) {
			*(void **)s->at = s->free[left];
			s->free[left] = s->at;
		}
		chunk->next = s->chunks;
		s->chunks = chunk;
		s->at = (char *)(chunk + 1);
		s->end = (char *)chunk + CHUNK;
	}
	void *block = s->at;
	s->at += size;
	return block;
}

static void *take(struct slab *s, size_t size)
{
	if (size > SMALL)
		return malloc(size);
	size_t class = class_of(size);
	void *block = s->free[class];
	if (!block)
		return carve(s, class);
	void *next = *(void **)block;
	s->free[class] = next;
	/* whoever takes the next one reads its first word: after a long sweep it is far from any cache */
	__builtin_prefetch(next, 1);
	return block;
}

void slab_free(struct slab *s, void *ptr, size_t size)
{
	if (size > SMALL) {
		free(ptr);
		return;
	}
	if (!ptr)
		return;
	size_t class = class_of(size);
	*(void **)ptr = s->free[class];
	s->free[class] = ptr;
}

void *slab_resize(struct slab *s, void *ptr, size_t before, size_t size)
{
	if (!ptr)
		return take(s, size);
	if (before > SMALL && size > SMALL)
		return realloc(ptr, size);
	if (before <= SMALL && size <= SMALL && class_of(before) == class_of(size))
		return ptr;
	void *block = take(s, size);
	if (!block)
		return size <= before ? ptr : NULL;
	memcpy(block, ptr, before < size ? before : size);
	slab_free(s, ptr, before);
	return block;
}

void slab_close(struct slab *s)
{
	while (s->chunks) {
		struct slab_chunk *next = s->chunks->next;
		free(s->chunks);
		s->chunks = next;
	}
}
