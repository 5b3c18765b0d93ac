/* SPDX-License-Identifier: MIT */
/*
 * i8042 keyboard controller: enough for a kernel to find it, a keyboard that never has a key
 * pressed, the reset pulse, and the fast A20 and reset port 0x92.
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference (1990), keyboard and auxiliary device
 * controller. Output is a short queue; each byte in it raises the keyboard's line where the
 * command byte says so. There is no auxiliary (mouse) port. A20 is remembered but has no effect:
 * it is always open.
 */
#include "chipset/chipset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DATA	 0x60
#define PORT_CMD	 0x64
#define PORT_92		 0x92

#define STATUS_OBF	 0x01u
#define STATUS_SYS	 0x04u
#define STATUS_CMD	 0x08u
#define STATUS_UNLOCKED	 0x10u

#define MODE_KBD_INT	 0x01u
#define MODE_SYS	 0x04u
#define MODE_KBD_OFF	 0x10u
#define MODE_AUX_OFF	 0x20u

#define KBD_ACK		 0xfa
#define KBD_SELF_TEST_OK 0xaa

#define QUEUE		 16

struct i8042 {
	struct dev_env env;
	struct bus_range data, cmd, port92;
	struct irq_line irq;
	uint8_t mode, outport, last_cmd; /* last_cmd: controller command that waits for data */
	uint8_t kbd_cmd;		 /* keyboard command that waits for its parameter */
	uint8_t was_cmd, scan_on;
	uint8_t queue[QUEUE], head, count;
};

static const struct snap_field fields[] = {
	SNAP_FIELD(struct i8042, SNAP_U8, mode),     SNAP_FIELD(struct i8042, SNAP_U8, outport),
	SNAP_FIELD(struct i8042, SNAP_U8, last_cmd), SNAP_FIELD(struct i8042, SNAP_U8, kbd_cmd),
	SNAP_FIELD(struct i8042, SNAP_U8, was_cmd),  SNAP_FIELD(struct i8042, SNAP_U8, scan_on),
	SNAP_FIELD(struct i8042, SNAP_BYTES, queue), SNAP_FIELD(struct i8042, SNAP_U8, head),
	SNAP_FIELD(struct i8042, SNAP_U8, count),
};

static void update_irq(struct i8042 *k)
{
	irq_set(&k->irq, k->count && (k->mode & MODE_KBD_INT));
}

static void put(struct i8042 *k, uint8_t byte)
{
	if (k->count < QUEUE)
		k->queue[(k->head + k->count++) % QUEUE] = byte;
	update_irq(k);
}

static void write_outport(struct i8042 *k, uint8_t val)
{
	k->outport = val;
	if (!(val & 1)) /* bit 0 is the CPU's reset line, low active */
		dev_request(&k->env, DEV_REQUEST_RESET, 0);
}

/* Commands to the controller. */
static void controller_command(struct i8042 *k, uint8_t cmd)
{
	k->was_cmd = 1;
	k->last_cmd = 0;
	switch (cmd) {
	case 0x20:
		put(k, k->mode);
		break;
	case 0x60: /* write mode */
	case 0xd1: /* write output port */
	case 0xd2: /* write keyboard output buffer */
	case 0xd3: /* write auxiliary output buffer */
	case 0xd4: /* write to auxiliary device */
		k->last_cmd = cmd;
		break;
	case 0xa7:
		k->mode |= MODE_AUX_OFF;
		break;
	case 0xa8: /* no auxiliary port: it stays off */
		break;
	case 0xa9:
		put(k, 0x01); /* auxiliary clock line stuck low: there is no port */
		break;
	case 0xaa:
		k->mode |= MODE_SYS;
		put(k, 0x55);
		break;
	case 0xab:
		put(k, 0x00);
		break;
	case 0xad:
		k->mode |= MODE_KBD_OFF;
		break;
	case 0xae:
		k->mode &= (uint8_t)~MODE_KBD_OFF;
		break;
	case 0xc0:
		put(k, 0x80); /* keyboard not locked */
		break;
	case 0xd0:
		put(k, k->outport);
		break;
	default:
		/* Pulse the output lines whose bits are 0; line 0 is reset. */
		if (cmd >= 0xf0 && !(cmd & 1))
			dev_request(&k->env, DEV_REQUEST_RESET, 0);
		break;
	}
}

/* Commands to the keyboard: acknowledged, and without effect. */
static void keyboard_command(struct i8042 *k, uint8_t cmd)
{
	if (k->kbd_cmd) {
		put(k, KBD_ACK);
		if (k->kbd_cmd == 0xf0 && cmd == 0)
			put(k, 2); /* scan code set */
		k->kbd_cmd = 0;
		return;
	}
	switch (cmd) {
	case 0xee:
		put(k, 0xee);
		return;
	case 0xed: /* LEDs */
	case 0xf0: /* scan code set */
	case 0xf3: /* typematic rate */
		k->kbd_cmd = cmd;
		break;
	case 0xf2:
		put(k, KBD_ACK);
		put(k, 0xab);
		put(k, 0x83);
		return;
	case 0xf4:
	case 0xf5:
		k->scan_on = cmd == 0xf4;
		break;
	case 0xff:
		put(k, KBD_ACK);
		put(k, KBD_SELF_TEST_OK);
		return;
	default:
		break;
	}
	put(k, KBD_ACK);
}

static void write_data(struct i8042 *k, uint8_t val)
{
	uint8_t cmd = k->last_cmd;

	k->was_cmd = 0;
	k->last_cmd = 0;
	switch (cmd) {
	case 0x60:
		k->mode = val | MODE_AUX_OFF;
		update_irq(k);
		break;
	case 0xd1:
		write_outport(k, val);
		break;
	case 0xd2:
		put(k, val);
		break;
	case 0xd3:
	case 0xd4:
		break;
	default:
		k->mode &= (uint8_t)~MODE_KBD_OFF;
		keyboard_command(k, val);
		break;
	}
}

static uint64_t data_read(void *dev, uint64_t off UNUSED, unsigned size UNUSED)
{
	struct i8042 *k = dev;
	uint8_t val = k->queue[k->head];

	if (k->count) {
		k->head = (uint8_t)((k->head + 1) % QUEUE);
		k->count--;
		/* The line falls with each byte read, and rises again for the next. */
		irq_set(&k->irq, false);
		update_irq(k);
	}
	return val;
}

static void data_write(void *dev, uint64_t off UNUSED, unsigned size UNUSED, uint64_t val)
{
	write_data(dev, (uint8_t)val);
}

static uint64_t status_read(void *dev, uint64_t off UNUSED, unsigned size UNUSED)
{
	const struct i8042 *k = dev;

	return STATUS_UNLOCKED | (k->count ? STATUS_OBF : 0) |
	       (k->mode & MODE_SYS ? STATUS_SYS : 0) | (k->was_cmd ? STATUS_CMD : 0);
}

static void cmd_write(void *dev, uint64_t off UNUSED, unsigned size UNUSED, uint64_t val)
{
	controller_command(dev, (uint8_t)val);
}

static uint64_t port92_read(void *dev, uint64_t off UNUSED, unsigned size UNUSED)
{
	return ((struct i8042 *)dev)->outport & 2;
}

static void port92_write(void *dev, uint64_t off UNUSED, unsigned size UNUSED, uint64_t val)
{
	struct i8042 *k = dev;

	k->outport = (uint8_t)((k->outport & ~2u) | (val & 2));
	if (val & 1)
		dev_request(&k->env, DEV_REQUEST_RESET, 0);
}

static const struct bus_ops data_ops = { data_read, data_write, 1, 1 };
static const struct bus_ops cmd_ops = { status_read, cmd_write, 1, 1 };
static const struct bus_ops port92_ops = { port92_read, port92_write, 1, 1 };

static void i8042_reset(void *dev)
{
	struct i8042 *k = dev;

	k->mode = MODE_SYS | MODE_AUX_OFF | MODE_KBD_INT;
	k->outport = 0xcf; /* reset high, A20 on */
	k->last_cmd = k->kbd_cmd = k->was_cmd = 0;
	k->scan_on = 1;
	k->head = k->count = 0;
	update_irq(k);
}

int i8042_create(struct i8042 **out, const struct dev_env *env, const struct irq_line *kbd_irq,
		 struct err *e)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	int ret;

	if (!k)
		return err_set(e, -ENOMEM, "no memory for the keyboard controller");
	k->env = *env;
	k->irq = *kbd_irq;
	k->data = (struct bus_range) { PORT_DATA, 1, &data_ops, k, "i8042-data" };
	k->cmd = (struct bus_range) { PORT_CMD, 1, &cmd_ops, k, "i8042-command" };
	k->port92 = (struct bus_range) { PORT_92, 1, &port92_ops, k, "port92" };
	ret = bus_claim(env->ports, &k->data, e);
	if (ret)
		goto fail_data;
	ret = bus_claim(env->ports, &k->cmd, e);
	if (ret)
		goto fail_cmd;
	ret = bus_claim(env->ports, &k->port92, e);
	if (ret)
		goto fail_port92;
	i8042_reset(k);
	*out = k;
	return 0;

fail_port92:
	bus_release(env->ports, &k->cmd);
fail_cmd:
	bus_release(env->ports, &k->data);
fail_data:
	free(k);
	return ret;
}

static void i8042_save(void *dev, struct snap_writer *w)
{
	snap_save_fields(w, dev, fields, ARRAY_SIZE(fields));
}

static int i8042_load(void *dev, const struct snap_reader *r, struct err *e)
{
	struct i8042 *k = dev, tmp = *k;
	int ret = snap_load_fields(r, &tmp, fields, ARRAY_SIZE(fields), e);

	if (ret)
		return ret;
	if (tmp.head >= QUEUE || tmp.count > QUEUE)
		return err_set(e, -EBADMSG,
			       "the saved keyboard controller has an impossible queue");
	*k = tmp;
	update_irq(k);
	return 0;
}

static void i8042_destroy(void *dev)
{
	struct i8042 *k = dev;

	if (!k)
		return;
	bus_release(k->env.ports, &k->port92);
	bus_release(k->env.ports, &k->cmd);
	bus_release(k->env.ports, &k->data);
	free(k);
}

const struct dev_ops i8042_dev_ops = {
	.type = "i8042",
	.reset = i8042_reset,
	.save = i8042_save,
	.load = i8042_load,
	.destroy = i8042_destroy,
};
