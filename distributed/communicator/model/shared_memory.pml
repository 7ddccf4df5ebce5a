/* The shared-memory protocol of README.md as a finite model: RANKS ranks make CALLS collectives, each of them small, direct
 * or staged, at most two under way, through SLOTS announcement slots and a ring of DEPTH staging chunks. Spin tries all
 * interleavings and all kinds of calls. Memory holds who wrote it instead of numbers, so that reading too early, or what
 * was written over, fails an assertion; a wait for ever is an invalid end state.
 *
 * What it does not show: memory order. Here a store is seen by all at once; in the program a release store and an
 * acquire load stand for that, and ThreadSanitizer looks at those (shared_memory_test).
 *
 * Each wait of the protocol can be left out by a definition (DROP_...), to see the model fail. */
#ifndef RANKS
#define RANKS 2
#endif
#ifndef CALLS
#define CALLS 3
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#define DEPTH 2
#define CHUNKS 3 /* of a staged collective: more than the ring holds */

#define SMALL 0
#define DIRECT 1
#define STAGED 2

#define GARBAGE 0

/* Collectives count from 1, chunks from 0: chunk g is written as g + 1. */
byte kind[CALLS + 1];
byte first_chunk[CALLS + 1];

byte stamp[RANKS * SLOTS], payload[RANKS * SLOTS];
byte finished[RANKS], chunk_in[RANKS], chunk_reduced[RANKS], chunk_out[RANKS];
byte copied[RANKS * DEPTH], summed[RANKS * DEPTH]; /* a rank's staging: its copy; the slice it has reduced there */
/* The buffers in direct memory, two per rank, used in turn: slice i of rank r. 2 * call: what the rank gives, + 1: result. */
byte buffer[2 * RANKS * RANKS];

#define slot_of(r, s) ((r) * SLOTS + (s) % SLOTS)
#define staging_of(r, g) ((r) * DEPTH + (g) % DEPTH)
#define slice_of(s, r, i) (((s) % 2) * RANKS * RANKS + (r) * RANKS + (i))

#define reached(counter, v) (counter[0] >= v && counter[1] >= v && counter[RANKS - 1] >= v)

#ifdef DROP_SLOT_WAIT
#define slot_is_free(s) true
#else
#define slot_is_free(s) (s <= SLOTS || reached(finished, s - SLOTS))
#endif

#ifdef DROP_ARRIVAL_WAIT
#define all_arrived(s) true
#else
#define all_arrived(s) (stamp[slot_of(0, s)] >= s && stamp[slot_of(1, s)] >= s && stamp[slot_of(RANKS - 1, s)] >= s)
#endif

#ifdef DROP_RING_WAIT
#define ring_is_free(g) true
#else
#define ring_is_free(g) (g < DEPTH || reached(chunk_out, g - DEPTH + 1))
#endif

#ifdef DROP_COPY_WAIT
#define all_copied(g) true
#else
#define all_copied(g) reached(chunk_in, g + 1)
#endif

#ifdef DROP_REDUCED_WAIT
#define all_reduced(g) true
#else
#define all_reduced(g) reached(chunk_reduced, g + 1)
#endif

#ifdef DROP_LAST_WAIT
#define all_finished(s) true
#else
#define all_finished(s) reached(finished, s)
#endif

/* One rank: whoever pushes takes any collective a step further, but none past its predecessor (the engine's rule): so a
 * number per stage says how far all of them are. */
proctype rank(byte me) {
  byte called, announced, begun, published, done;
  byte in, reduced, out; /* chunks of the staged collective that is begun */
  byte r, s, g;

  do
  /* The caller writes its data; the buffer was used two calls ago, and that call is complete. */
  :: atomic {
       called < CALLS && called < done + 2 ->
       called++;
       if
       :: kind[called] == DIRECT ->
          for (r : 0 .. RANKS - 1) { buffer[slice_of(called, me, r)] = 2 * called }
       :: else
       fi;
       r = 0
     }

  :: atomic { announced < called && slot_is_free((announced + 1)) -> payload[slot_of(me, announced + 1)] = GARBAGE };
     atomic {
       announced++;
       payload[slot_of(me, announced)] = announced;
       stamp[slot_of(me, announced)] = announced
     }

  /* Small and direct: read what all have announced; direct: read one's slice of all, then write it to all. */
  :: atomic {
       begun < announced && kind[begun + 1] != STAGED && all_arrived((begun + 1)) ->
       s = begun + 1;
       for (r : 0 .. RANKS - 1) {
         assert(payload[slot_of(r, s)] == s);
         assert(kind[s] != DIRECT || buffer[slice_of(s, r, me)] == 2 * s)
       }
       r = 0
     };
     atomic {
       begun++;
       if
       :: kind[begun] == DIRECT ->
          for (r : 0 .. RANKS - 1) { buffer[slice_of(begun, r, me)] = 2 * begun + 1 }
       :: else
       fi;
       r = 0;
       s = 0
     }

  /* Staged. Copying in needs only the rank's own announcement. */
  :: atomic {
       begun < announced && kind[begun + 1] == STAGED && in < CHUNKS && ring_is_free((first_chunk[begun + 1] + in)) ->
       g = first_chunk[begun + 1] + in;
       copied[staging_of(me, g)] = GARBAGE;
       summed[staging_of(me, g)] = GARBAGE
     };
     atomic {
       copied[staging_of(me, g)] = g + 1;
       chunk_in[me] = g + 1;
       in++;
       g = 0
     }

#if RANKS > 2
  :: atomic {
       begun < announced && kind[begun + 1] == STAGED && reduced < in && all_arrived((begun + 1)) &&
           all_copied((first_chunk[begun + 1] + reduced)) ->
       g = first_chunk[begun + 1] + reduced;
       for (r : 0 .. RANKS - 1) { assert(copied[staging_of(r, g)] == g + 1) }
       r = 0
     };
     atomic {
       summed[staging_of(me, g)] = g + 1;
       chunk_reduced[me] = g + 1;
       reduced++;
       g = 0
     }

  :: atomic {
       begun < announced && kind[begun + 1] == STAGED && out < reduced && all_reduced((first_chunk[begun + 1] + out)) ->
       g = first_chunk[begun + 1] + out;
       for (r : 0 .. RANKS - 1) { assert(summed[staging_of(r, g)] == g + 1) }
       r = 0
     };
     atomic {
       chunk_out[me] = g + 1;
       out++;
       g = 0
     }
#else
  /* With two ranks each adds the other's copy to its own data. */
  :: atomic {
       begun < announced && kind[begun + 1] == STAGED && out < in && all_arrived((begun + 1)) &&
           all_copied((first_chunk[begun + 1] + out)) ->
       g = first_chunk[begun + 1] + out;
       for (r : 0 .. RANKS - 1) { assert(copied[staging_of(r, g)] == g + 1) }
       r = 0
     };
     atomic {
       chunk_out[me] = g + 1;
       out++;
       g = 0
     }
#endif

  :: atomic {
       begun < announced && kind[begun + 1] == STAGED && out == CHUNKS && all_arrived((begun + 1)) ->
       begun++;
       in = 0;
       reduced = 0;
       out = 0
     }

  /* Up to here this rank reads what the others announced. */
  :: atomic {
       published < begun ->
       published++;
       for (r : 0 .. RANKS - 1) { assert(payload[slot_of(r, published)] == published) }
       finished[me] = published;
       r = 0
     }

  :: atomic {
       done < published && (kind[done + 1] != DIRECT || all_finished((done + 1))) ->
       done++;
       if
       :: kind[done] == DIRECT ->
          for (r : 0 .. RANKS - 1) { assert(buffer[slice_of(done, me, r)] == 2 * done + 1) }
       :: else
       fi;
       r = 0
     }

  :: done == CALLS -> break
  od
}

init {
  byte call, chunks;
  atomic {
    for (call : 1 .. CALLS) {
      if
      :: kind[call] = SMALL
      :: kind[call] = DIRECT
      :: kind[call] = STAGED
      fi;
      first_chunk[call] = chunks;
      if
      :: kind[call] == STAGED -> chunks = chunks + CHUNKS
      :: else
      fi
    }
    for (call : 0 .. RANKS - 1) { run rank(call) }
  }
}
