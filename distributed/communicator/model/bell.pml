/* The bell of bell.h as a finite model: a rank makes EVENTS things happen, one after the other, another one waits for each
 * and sleeps. A store of the first rank may become visible late (its store buffer), but in order, and before anything that
 * it does with a locked instruction. A sleeper whom nobody wakes is an invalid end state, unless its time is limited.
 *
 * The program has the limit and no fence. What is shown: with the limit nobody sleeps for ever; with a fence behind the
 * store nobody would without it; with neither a ring can be lost; and both steps of the sleeper, and the ring, are needed. */
#ifndef EVENTS
#define EVENTS 3
#endif

byte stored, visible; /* events that have happened, as their rank knows and as the other one sees */
byte sleepers, rings;

active proctype store_buffer() {
  do
  :: atomic { visible < stored -> visible++ }
  :: visible == EVENTS -> break
  od
}

active proctype waker() {
  do
  :: stored < EVENTS ->
     stored++;
#ifdef FENCE
     visible == stored;
#endif
     if
     :: sleepers > 0 ->
        visible == stored; /* the locked instruction */
#ifndef DROP_RING
        rings++
#else
        skip
#endif
     :: else
     fi
  :: else -> break
  od
}

active proctype sleeper() {
  byte seen, heard;
  bool arrived;
  do
  :: seen < EVENTS ->
#ifdef DROP_LAST_LOOK
     arrived = (visible > seen);
#endif
     sleepers++;
     heard = rings;
#ifndef DROP_LAST_LOOK
     arrived = (visible > seen);
#endif
     if
     :: arrived -> seen++
     :: else ->
        if
        :: rings != heard /* the futex compares, and a ring wakes */
#ifdef LIMIT
        :: timeout
#endif
        fi
     fi;
     sleepers--
  :: else -> break
  od
}
